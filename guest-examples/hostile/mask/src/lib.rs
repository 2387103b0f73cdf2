//! Puts direction marks, escape sequences and characters that nobody sees into every text of every consequential call.
//! Each must be refused, or shown with every such character written out.
//!
//! Task: `email`, `deploy`, `pay` or `ask`.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use holdshort::agent::deployment::{self, Release};
use holdshort::agent::email::{self, Attachment, Message};
use holdshort::agent::guidance::{self, Question};
use holdshort::agent::payments::{self, Transfer};
use holdshort::agent::types::{ClaimedExhibit, Money, Rationale};

const MASK: &str = "a\u{202e}b\u{1b}[2Jc\u{200b}d\u{e0041}e";

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(task: String) -> Result<String, String> {
        let mask = || MASK.to_owned();
        let all = || vec![mask()];
        let exhibits = vec![ClaimedExhibit { title: mask(), text: mask() }];
        let why = Rationale { summary: mask(), confidence: None, exhibits };
        let answer = match task.as_str() {
            "email" => {
                let attachments = vec![Attachment { path: mask(), sha256: mask() }];
                let (to, cc, bcc) = (all(), all(), all());
                let mail =
                    Message { to, cc, bcc, subject: mask(), body: mask(), in_reply_to: Some(mask()), attachments };
                email::send_email(&mail, &why).map(|_| mask())
            }
            "deploy" => {
                let release = Release { target: mask(), revision: mask(), notes: mask() };
                deployment::deploy(&release, &why).map(|_| mask())
            }
            "pay" => {
                let amount = Money { minor_units: 1, currency: mask() };
                let transfer = Transfer { source: mask(), payee: mask(), amount, reference: mask() };
                payments::transfer_funds(&transfer, &why).map(|_| mask())
            }
            _ => guidance::ask(&Question { text: mask(), choices: all() }, &why),
        };
        answer.map_err(|refusal| format!("{refusal:?}"))
    }
}
