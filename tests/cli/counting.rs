//! `holdshort stats`: the review load, in words and as JSON, and a suggested policy that can be backtested as it is
//! printed.

use std::fs;

use crate::said::holdshort;
use crate::scene::post_office;

#[test]
fn a_habit_is_told_and_its_policy_is_one_of_this_hosts() {
    let folder = post_office("[groups]\nhouse = [\"olivia\"]\n");
    let host = folder.serve();
    let letters = ["email bob@example.org Hello"; 20].join("\n");
    let run = host.start("scripted", &letters);
    for _ in 0..20 {
        let held = host.held(&run);
        host.approve(&held);
        host.effect(held["id"].as_str().unwrap(), "succeeded");
    }
    host.over(&run);

    let answer = holdshort(&folder, &["stats", "--json"]).exits(0).json();
    let stats = &answer["stats"];
    assert_eq!(
        (&stats["calls"]["held"], &stats["calls"]["approved"], &stats["runs"]["held_most"]),
        (&20.into(), &20.into(), &20.into())
    );
    assert_eq!((&stats["by_group"][0]["name"], &stats["by_reviewer"][0]["name"]), (&"house".into(), &"olivia".into()));
    let said = holdshort(&folder, &["stats", "--since", "1h"]).exits(0);
    for part in [
        "\nall:\n  calls: 0 cleared (0.0 %), 20 held (100.0 %), 0 refused (0.0 %)\n  of those held: 20 approved\n",
        "\n  runs: 1 ended; held calls per run: 20.00 on average, at most 20; runs without held calls: 0\n",
        "\nby policy:\n  hold-everything: 0 cleared (0.0 %), 20 held (100.0 %), 0 refused (0.0 %); 20 approved; approval rate 100.0 %; median ",
        "\nby group and capability:\n  house on holdshort:agent/email@0.1.0#send-email: 20 approve; median ",
        "; 20 came faster than the content can be read\n",
        "\nsuggestion: `hold-everything` held 20 calls of `scripted` to `holdshort:agent/email@0.1.0#send-email`, and reviewers approved all of them unchanged, in 20 decisions (20 of them faster than the texts can be read, so these approvals mean little) and ",
        "\n      resource.facts.outside_recipients == 0 &&\n",
        "holdshort policy backtest --add FILE",
    ] {
        assert!(said.out.contains(part), "no `{part}` in\n{}", said.out);
    }
    assert!(said.err.contains("exact to 5 %"), "{said:?}");

    // The output is the policy itself, indented.
    let policy = stats["suggestions"][0]["policy"].as_str().unwrap();
    let printed: String =
        said.out.lines().filter_map(|line| line.strip_prefix("  ")).map(|line| format!("{line}\n")).collect();
    assert!(printed.contains(policy), "{policy}\nin\n{printed}");
    fs::write(folder.path().join("like.cedar"), policy).unwrap();
    let checked = holdshort(&folder, &["policy", "check", "like.cedar"]).exits(0);
    assert!(checked.out.contains("the policies are valid: 1 on `call`"), "{checked:?}");

    let before = holdshort(&folder, &["stats", "--since", "2h", "--until", "1h", "--json"]).exits(0).json();
    assert_eq!(before["stats"]["calls"]["held"], 0, "it has all happened since");
    let said = holdshort(&folder, &["stats", "--since", "1h", "--until", "2h"]).exits(4);
    assert!(said.err.contains("must be before"), "{said:?}");
}
