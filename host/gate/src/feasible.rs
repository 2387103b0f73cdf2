//! Whether the reviewers that exist are enough to meet a requirement.

use std::collections::BTreeMap;

use crate::approval::{Requirement, Reviewers};
use crate::name::ReviewerName;

/// A stage that has too few reviewers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too few eligible reviewers in stage {stage}: {found} of {needed}")]
pub struct CannotBeMet {
    /// The stage that lacks people, from 1.
    pub stage: usize,
    /// The smallest number of people that the stage needs.
    pub needed: u32,
    /// How many people are left for this stage after the stages before it.
    pub found: usize,
}

/// How many people there are of each kind. Two people are of one kind if they count for the same demands. The key says,
/// stage by stage, for which of its demands people of this kind count.
type Kinds = BTreeMap<Vec<Vec<bool>>, usize>;

impl Requirement {
    /// Every reviewer that the requirement names; `None` if a demand or an escalation admits any reviewer.
    pub fn names(&self) -> Option<Vec<ReviewerName>> {
        let asked = self.stages.iter().flatten().map(|demand| &demand.reviewers);
        let nobody = Reviewers::Named(Vec::new());
        match asked.chain(self.escalated(self.escalations.len())).fold(nobody, |all, more| all.union(more)) {
            Reviewers::Any => None,
            Reviewers::Named(names) => Some(names),
        }
    }

    /// Whether `everybody` together could meet the requirement, with the reviewers of its escalations. A person counts
    /// for one stage, and a person barred by four-eyes for none.
    pub fn can_be_met(
        &self,
        everybody: &[ReviewerName],
        started_by: &ReviewerName,
        edited_by: Option<&ReviewerName>,
    ) -> Result<(), CannotBeMet> {
        let may = |name: &&ReviewerName| self.bars(name, started_by, edited_by).is_ok();
        let mut kinds = Kinds::new();
        for name in everybody.iter().filter(may) {
            let called_in = self.escalated(self.escalations.len()).any(|of| of.includes(name));
            let counts = |stage: &Vec<crate::Demand>| {
                stage.iter().map(|demand| called_in || demand.reviewers.includes(name)).collect()
            };
            *kinds.entry(self.stages.iter().map(counts).collect()).or_default() += 1;
        }
        self.fill(0, &mut kinds.into_iter().collect::<Vec<_>>())
    }

    /// Finds people for the stage `stage` and all later stages among the people of these kinds. Tries every number of
    /// people of each kind.
    fn fill(&self, stage: usize, kinds: &mut Vec<(Vec<Vec<bool>>, usize)>) -> Result<(), CannotBeMet> {
        let Some(demands) = self.stages.get(stage) else { return Ok(()) };
        let missing: Vec<u32> = demands.iter().map(|demand| demand.quorum.max(1)).collect();
        for (index, needed) in missing.iter().copied().enumerate() {
            let counts = |(counts, _): &&(Vec<Vec<bool>>, usize)| {
                counts.get(stage).and_then(|counts| counts.get(index)).is_some_and(|counts| *counts)
            };
            let found = kinds.iter().filter(counts).map(|(_, count)| count).sum();
            if found < needed as usize {
                return Err(CannotBeMet { stage: stage + 1, needed, found });
            }
        }
        self.take(stage, 0, &missing, kinds)
    }

    /// Finds people for one stage: takes people of the kind with the index `kind` and of the kinds after it until no
    /// demand of the stage lacks anybody, and then fills the next stage.
    fn take(
        &self,
        stage: usize,
        kind: usize,
        missing: &[u32],
        kinds: &mut Vec<(Vec<Vec<bool>>, usize)>,
    ) -> Result<(), CannotBeMet> {
        let most = missing.iter().copied().max().unwrap_or(0);
        if most == 0 {
            return self.fill(stage + 1, kinds);
        }
        let found = kinds.iter().skip(kind).map(|(_, count)| count).sum();
        let lacking = CannotBeMet { stage: stage + 1, needed: most, found };
        let Some((counts, left)) = kinds.get(kind).cloned() else { return Err(lacking) };
        let counts = counts.get(stage).cloned().unwrap_or_default();
        let useful = if counts.contains(&true) { left.min(most as usize) } else { 0 };
        let mut worst = lacking;
        for taken in 0..=useful {
            if let Some((_, count)) = kinds.get_mut(kind) {
                *count = left - taken;
            }
            let less = |(missing, counts): (&u32, &bool)| {
                missing.saturating_sub(if *counts { u32::try_from(taken).unwrap_or(u32::MAX) } else { 0 })
            };
            let missing: Vec<u32> = missing.iter().zip(&counts).map(less).collect();
            match self.take(stage, kind + 1, &missing, kinds) {
                Ok(()) => return Ok(()),
                Err(why) if why.stage > worst.stage => worst = why,
                Err(_) => {}
            }
        }
        if let Some((_, count)) = kinds.get_mut(kind) {
            *count = left;
        }
        Err(worst)
    }
}
