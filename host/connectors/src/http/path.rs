//! Paths of URLs that every server reads in the same way.

/// Whether every server finds the same resource by this path. Some servers resolve `..`, decode `%2f`, take `//` for `/`, cut
/// at `;`, drop dots and spaces at the end of a name, or take one character for another. So a path with these, or one that
/// encodes what needs no code, could lead out of the operator's paths.
pub(super) fn is_plain(path: &str) -> bool {
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || "-._~!$&'()*+,=:@".contains(c)
            || !(c.is_ascii() || ('\u{ff00}'..='\u{ffef}').contains(&c))
    };
    let is_name = |segment: &str| {
        let Some(name) = decoded(segment) else { return false };
        !name.is_empty() && !name.ends_with(['.', ' ']) && name.chars().all(|c| plain(c) || ENCODED.contains(c))
    };
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // The last segment may be empty: the path ends with `/`.
        if !(is_name(segment) || (segment.is_empty() && segments.peek().is_none())) {
            return false;
        }
    }
    path.starts_with('/')
}

/// Characters that have to be encoded in a path, and mean only themselves.
const ENCODED: &str = " \"<>[]^`{|}";

/// A name in a path without its codes; `None` if it has a code that it does not need, or text that needs one.
fn decoded(segment: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(segment.len()), segment.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let byte = u8::from_str_radix(std::str::from_utf8(&[*high, *low]).ok()?, 16).ok()?;
                (Some(byte).filter(|byte| !byte.is_ascii() || ENCODED.contains(char::from(*byte)))?, after)
            }
            (b'%', _) => return None,
            (byte, after) => {
                (Some(*byte).filter(|byte| byte.is_ascii() && !ENCODED.contains(char::from(*byte)))?, after)
            }
        };
        bytes.push(byte);
        rest = after;
    }
    let name = String::from_utf8(bytes).ok()?;
    name.chars().all(|c| c.is_ascii() || c.is_alphanumeric()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_path_is_plain_only_if_every_server_reads_it_in_the_same_way() {
        for plain in [
            "/",
            "/v1/orders",
            "/v1/orders/",
            "/a.b-c_d~e!$&'()*+,=:@/.well-known",
            "/files/a%20b%22.txt",
            "/wiki/Z%C3%BCrich",
            "/%E6%9D%B1%E4%BA%AC",
            "/a..b",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "",
            "x",
            "*",
            "//",
            "/a//b",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/...",
            "/a.",
            "/a./b",
            "/%2e%2e/b",
            "/x%2e%2E",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a;b",
            "/a%3bb",
            "/a%25b",
            "/a%00",
            "/a%23",
            "/a%3f",
            "/tr%61nsfer",
            "/%7Euser",
            "/a%20",
            "/a%20/b",
            "/..%20/b",
            "/..%09/b",
            "/a%0ab",
            "/a%7f",
            "/%c0%ae%c0%ae/b",
            "/%e2%80%a5/b",
            "/%ff",
            "/%",
            "/%2",
            "/%zz",
            "/%+5",
            "/ü",
            "/．．/b",
            "/%ef%bc%8e%ef%bc%8e/b",
            "/%ef%bc%8fa",
            "/%ef%bd%81",
            "/a\"b",
            "/a{b}",
        ] {
            assert!(!is_plain(other), "{other}");
        }
    }
}
