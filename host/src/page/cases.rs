//! Test cases (`/policy/cases`): a form for invented calls, and the policies' verdicts on them. The
//! page does the same as `holdshort policy test`.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::frame::{Frame, PageResult, Seal, Signed, page};
use crate::api::limits::Form;
use crate::api::{Api, backtests};
use crate::policy::cases::CaseResult;
use crate::policy::load::Source;
use crate::review::Text;

/// The purpose of the form. Its seal is valid for this purpose only.
const SEALED: &str = "cases";
/// The initial content of the form. It shows the syntax, and runs wherever the mail connector is
/// configured.
const EXAMPLE: &str = include_str!("templates/case.toml");

#[derive(Template)]
#[template(path = "cases.html")]
struct CasesPage {
    frame: Frame,
    seal: Seal,
    cases: Text,
    policies: Text,
    add: bool,
    trouble: Vec<Text>,
    result: Option<Vec<CaseRow>>,
}

impl CasesPage {
    fn failed(&self) -> usize {
        self.result.iter().flatten().filter(|one| one.failed).count()
    }
}

/// A case with its result.
#[derive(Debug)]
struct CaseRow {
    name: Text,
    told: Text,
    /// Failed expectations and evaluation errors.
    trouble: Vec<Text>,
    failed: bool,
}

/// Shows the form.
pub(super) async fn show(signed: Signed) -> PageResult {
    page(&form(&signed, EXAMPLE, "", true))
}

/// The form with its typed content.
fn form(signed: &Signed, cases: &str, policies: &str, add: bool) -> CasesPage {
    CasesPage {
        frame: signed.frame("policy"),
        seal: signed.seal(SEALED),
        cases: Text::field(cases),
        policies: Text::field(policies),
        add,
        trouble: Vec::new(),
        result: None,
    }
}

/// Runs the cases in the form.
pub(super) async fn create(State(api): State<Api>, signed: Signed, sent: Form) -> PageResult {
    signed.0.check(SEALED, sent.field("seal").unwrap_or_default())?;
    let cases = Text::typed(sent.field("cases").unwrap_or_default());
    let policies = Text::typed(sent.field("policies").unwrap_or_default());
    let add = sent.field("how") != Some("instead");
    let shown = form(&signed, &cases, &policies, add);
    let typed = (!policies.trim().is_empty()).then(|| Source { path: "your policies".into(), text: policies });
    let cases = Source { path: "your cases".into(), text: cases };
    match backtests::try_cases(&api, cases, typed.into_iter().collect(), add).await {
        Ok(tried) => page(&CasesPage { result: Some(tried.into_iter().map(CaseRow::from).collect()), ..shown }),
        Err(problem) => {
            let status: StatusCode = problem.kind().status();
            let shown = CasesPage { trouble: Text::lines(problem.detail()), ..shown };
            Ok((status, page(&shown)?).into_response())
        }
    }
}

impl From<CaseResult> for CaseRow {
    fn from(tried: CaseResult) -> Self {
        let errors = tried.errors.iter().map(|error| format!("could not be evaluated: {error}"));
        Self {
            name: Text::line(&tried.name),
            told: Text::line(&tried.one_line()),
            trouble: errors.chain(tried.differs.clone()).map(|line| Text::line(&line)).collect(),
            failed: tried.differs.is_some(),
        }
    }
}
