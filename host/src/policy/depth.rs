//! Whether a text of policies is shallow enough to be read: Cedar's parser recurses, and a stack that overflows takes the host with it.

/// Brackets within brackets.
const NESTED_MAX: usize = 48;
/// Operators of one policy; each may be a step deeper. Sets of many texts have none.
const OPERATORS_MAX: usize = 500;
/// The stack on which policies are read: what the limits let through needs a part of it, in a debug build too.
pub(super) const STACK_BYTES: usize = 64 << 20;

/// The line on which a text gets too deep, and what to do.
pub(super) fn too_deep(text: &str) -> Option<(usize, String)> {
    let (mut nested, mut operators, mut line) = (0_usize, 0_usize, 1_usize);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word: usize = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            literal(rest)
        } else {
            match first {
                '(' | '[' | '{' => nested += 1,
                ')' | ']' | '}' => nested = nested.saturating_sub(1),
                ';' => operators = 0,
                '&' | '|' | '!' | '.' | '+' | '-' | '*' | '<' | '>' | '=' => operators += 1,
                _ => operators += usize::from(matches!(rest.get(..word), Some("if" | "in" | "has" | "is" | "like"))),
            }
            word.max(first.len_utf8())
        };
        if nested > NESTED_MAX {
            return Some((line, format!("more than {NESTED_MAX} brackets within each other: write it flatter")));
        }
        // `&&` and `==` are two characters of one operator.
        if operators > 2 * OPERATORS_MAX {
            return Some((line, format!("a policy of more than {OPERATORS_MAX} operators: make several of it")));
        }
        let (done, left) = rest.split_at(taken);
        line += done.matches('\n').count();
        rest = left;
    }
    None
}

/// The length of a text in quotes at the beginning.
fn literal(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(condition: &str) -> String {
        format!("// (((\npermit (principal, action == Action::\"call\", resource) when {{ {condition} }};\n")
    }

    #[test]
    fn what_is_deep_is_told_by_its_line() {
        for (condition, deep) in [
            ("(".repeat(40) + "true" + &")".repeat(40), false),
            ("(".repeat(60) + "true" + &")".repeat(60), true),
            ("true && ".repeat(400) + "true", false),
            ("true && ".repeat(600) + "true", true),
            ("if true then true else ".repeat(1_100) + "true", true),
            (format!("[{}\"x\"].contains(\"y\")", "\"((\\\"([\", ".repeat(5_000)), false),
        ] {
            let found = too_deep(&policy(&condition));
            assert_eq!(found.as_ref().map(|(line, _)| *line), deep.then_some(2), "{found:?}: {}", &condition[..20]);
        }
        // Each policy by itself.
        assert_eq!(too_deep(&policy(&("true && ".repeat(400) + "true")).repeat(50)), None);
    }
}
