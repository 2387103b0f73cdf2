//! A reader sees every character: each character that a page draws as itself has width and ink in the page's fonts. No
//! text of an agent begins a line that looks like a line of the host's.

use holdshort::review::Text;
use serde_json::{Value, json};

use crate::evidence::figure;
use crate::person::{How, Person};
use crate::scene::{ALICE, held, shop};

/// How many characters are measured at once.
const BATCH: usize = 20_000;

/// Measures texts in both fonts of the page, and returns the texts without width or ink, as `[font, index]`.
const MEASURE: &str = r#"
const pen = new OffscreenCanvas(8, 8).getContext("2d"), lost = [];
for (const font of FONTS) {
  pen.font = font;
  TEXTS.forEach((text, index) => {
    const box = pen.measureText(text);
    const wide = box.actualBoundingBoxRight + box.actualBoundingBoxLeft, high = box.actualBoundingBoxAscent + box.actualBoundingBoxDescent;
    if (!(box.width > 0.5 && wide > 0.2 && high > 0.2)) lost.push([font, index]);
  });
}
return lost;"#;

/// Draws pairs of texts, and returns the pairs that look alike, as `[font, index]`.
const COMPARE: &str = r#"
const pen = new OffscreenCanvas(96, 48).getContext("2d", { willReadFrequently: true }), lost = [];
const draw = text => {
  pen.clearRect(0, 0, 96, 48);
  pen.fillText(text, 24, 30);
  return new Uint32Array(pen.getImageData(0, 0, 96, 48).data.buffer);
};
for (const font of FONTS) {
  pen.font = font;
  TEXTS.forEach(([one, other], index) => {
    const first = draw(one), second = draw(other);
    if (first.every((pixel, at) => pixel === second[at])) lost.push([font, index]);
  });
}
return lost;"#;

/// The fonts that the style of the page asks for.
fn fonts(person: &Person) -> Value {
    person.script(
        "const font = css => { const style = getComputedStyle(document.querySelector(css)); return style.fontSize + ' ' + style.fontFamily; };\n\
         return [font('body'), font('pre')]",
    )
}

/// Runs a script over texts, and returns what it found, in words.
fn run(person: &Person, script: &str, fonts: &Value, texts: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for batch in texts.chunks(BATCH) {
        let script = script.replace("FONTS", &fonts.to_string()).replace("TEXTS", &json!(batch).to_string());
        for one in person.script(&script).as_array().unwrap() {
            let text = &batch[usize::try_from(one[1].as_u64().unwrap()).unwrap()];
            let codes: Vec<String> =
                text.to_string().chars().filter(|c| !c.is_ascii()).map(|c| format!("U+{:04X}", u32::from(c))).collect();
            found.push(format!("{} in {}", codes.join(" "), one[0]));
        }
    }
    found
}

/// Whether a page draws a text unchanged.
fn is_drawn(text: &str) -> bool {
    Text::line(text).to_string() == text
}

/// Every character that a page draws as itself when it stands alone. For planes without assigned characters a sample is
/// enough.
fn drawn() -> Vec<char> {
    let is_asked =
        |c: &char| *c != ' ' && (matches!(u32::from(*c) >> 16, 0..=3 | 14) || u32::from(*c).is_multiple_of(97));
    ('\u{0}'..=char::MAX).filter(is_asked).filter(|c| is_drawn(&c.to_string())).collect()
}

/// Every combining mark, with a letter on which a page draws it, and that letter alone.
fn on_letters(person: &Person, letters: &[char]) -> Vec<Value> {
    let all = "const all = []; for (let code = 0; code < 0x30000; code++) { const c = String.fromCodePoint(code); if (/\\p{M}/u.test(c)) all.push(c); } return all";
    let mut pairs = Vec::new();
    for mark in person.script(all).as_array().unwrap().iter().filter_map(Value::as_str) {
        let at = u32::from(mark.chars().next().unwrap());
        let near =
            |letter: &&char| u32::from(**letter).abs_diff(at) < 0x100 || **letter == 'x' || **letter == '\u{430}';
        let on = letters.iter().filter(near).find(|letter| is_drawn(&format!("{letter}{mark}")));
        pairs.extend(on.map(|letter| json!([letter.to_string(), format!("{letter}{mark}")])));
    }
    pairs
}

#[test]
fn whatever_is_drawn_as_itself_has_width_and_ink() {
    let (_folder, host) = shop(&["release", "scripted"], "").into_served();
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let release = held(&host, "release", "").1;
    alice.goto(&format!("/approvals/{release}"));
    alice.find("pre");
    let fonts = fonts(&alice);

    // Each character alone.
    let alone = drawn();
    assert!(alone.len() > 140_000, "{} characters are drawn", alone.len());
    let texts: Vec<Value> = alone.iter().map(|c| json!(c)).collect();
    let lost = run(&alice, MEASURE, &fonts, &texts);
    assert!(lost.is_empty(), "{} drawn without width or ink: {lost:?}", lost.len());

    // Each combining mark.
    let letters: Vec<char> = alone.iter().copied().filter(|c| c.is_alphabetic()).collect();
    let pairs = on_letters(&alice, &letters);
    assert!(pairs.len() > 1_000, "{} marks are drawn", pairs.len());
    let lost = run(&alice, COMPARE, &fonts, &pairs);
    assert!(lost.is_empty(), "{} marks that cannot be seen: {lost:?}", lost.len());
    figure("T37", "characters measured in a browser", (alone.len() + pairs.len()) as u64);

    // The measurement does find characters without ink.
    for blank in ["\u{FFFC}", "\u{200B}", "\u{3000}"] {
        assert!(!run(&alice, MEASURE, &fonts, &[json!(blank)]).is_empty(), "{blank:?}");
    }
    assert!(!run(&alice, COMPARE, &fonts, &[json!(["ACME", "AC\u{200B}ME"])]).is_empty());
}

/// Returns `[mark, [left, ...]]` for each line of a block: the position of the line's mark on the screen, and where its
/// text begins on each line of the screen.
const BLOCKS: &str = r#"
return [...document.querySelectorAll(".block .l, .patch > span, .split > span:not(:empty)")].map(line => {
  const range = document.createRange(), mark = getComputedStyle(line, "::before");
  range.selectNodeContents(line.querySelector("bdi"));
  const left = line.getBoundingClientRect().left;
  return [mark.content === '"│"' && mark.position === "absolute" ? parseFloat(mark.left) : -1, [...range.getClientRects()].map(box => box.left - left)];
});"#;

/// For each text of one line that wraps on the screen: the smallest distance by which its further lines are indented.
const ONE_LINERS: &str = r#"
return [...document.querySelectorAll("h1, h3, dd, .row > a, .lately li, .story li")].filter(one => !one.querySelector("pre, p, form, ol, ul")).flatMap(one => {
  const range = document.createRange();
  range.selectNodeContents(one);
  const boxes = [...range.getClientRects()].filter(box => box.width > 0);
  if (!boxes.length) return [];
  const bottom = boxes[0].bottom, left = Math.min(...boxes.filter(box => box.top < bottom - 4).map(box => box.left));
  const on = boxes.filter(box => box.top >= bottom - 4);
  return on.length ? [[one.textContent.slice(0, 60), Math.min(...on.map(box => box.left)) - left]] : [];
});"#;

#[test]
fn no_text_begins_a_line_of_its_own() {
    let (_folder, host) = shop(&["release", "scripted"], "").into_served();
    let forged = format!("RE 117{}2026-01-01 T4 2,500.00 EUR from operating: RE 2026-117", " ".repeat(100));
    let paid = held(&host, "scripted", "pay operating Globex 100 EUR");
    let approval = host.approval(&paid.1);
    let mut arguments = approval["proposal"]["action"]["arguments"].clone();
    arguments["transfer"]["reference"] = json!(forged);
    assert_eq!(host.decide(&approval, "edit", &json!({ "arguments": arguments })).0, 200);
    let edited = host.approval(&paid.1);
    if edited["state"] == "held" {
        host.approve(&edited);
    }
    host.effect(&paid.1, "succeeded");
    let again = held(&host, "scripted", "pay operating Globex 100 EUR").1;
    let (one, two) = ("ask Re: A B", "ask Re: A  B");
    let mails = [one, two].map(|task| held(&host, "scripted", task).1);
    let words = held(&host, "scripted", &format!("email ann@localhost {}", "reference ".repeat(40))).1;
    let release = held(&host, "release", "").1;
    let Some(alice) = Person::signed_in(&host, ALICE, How::default()) else { return };
    let (mut blocks, mut on) = (0, 0);
    for (width, height) in [(1100, 900), (390, 844)] {
        alice.size(width, height);
        let views = [&again, &words, &release].map(|id| format!("/approvals/{id}"));
        for path in views.iter().cloned().chain([
            format!("/approvals/{release}?diff=split"),
            "/".into(),
            format!("/runs/{}", paid.0),
        ]) {
            alice.goto(&path);
            alice.find("main h1");
            for line in alice.script(BLOCKS).as_array().unwrap() {
                let mark = line[0].as_f64().unwrap();
                assert!(mark >= 0.0, "{path}: a line without a mark");
                for left in line[1].as_array().unwrap() {
                    assert!(left.as_f64().unwrap() > mark + 8.0, "{path}: text reaches the mark: {line}");
                    blocks += 1;
                }
            }
            for one in alice.script(ONE_LINERS).as_array().unwrap() {
                assert!(
                    one[1].as_f64().unwrap() > 8.0,
                    "{path} at {width}: a line that goes on looks like another: {one}"
                );
                on += 1;
            }
        }
        // The forged line stands in the history of payments, in quotation marks, on the line of the payment that it
        // belongs to.
        alice.goto(&views[0]);
        let evidence =
            alice.script("return [...document.querySelectorAll('.block .l')].map(line => line.textContent.trim())");
        let lines: Vec<&str> = evidence.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(lines.iter().any(|line| line.contains(" from operating: \"RE 117 \\ \\ ")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("2026-01-01 T4")), "{lines:?}");
        alice.picture(&format!("forged-{width}"));
    }
    assert!(blocks > 100 && on > 10, "{blocks} lines in blocks, {on} texts of one line that go on");
    alice.goto("/");
    let rows = alice.body();
    assert!(rows.contains("\"Re: A B\"") && rows.contains("\"Re: A \\ B\""), "{rows}");
    for (id, shown) in mails.iter().zip(["Re: A B", "Re: A <U+0020>B"]) {
        alice.goto(&format!("/approvals/{id}"));
        alice.sees(shown);
    }
}
