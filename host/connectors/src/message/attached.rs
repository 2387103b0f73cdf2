//! Attachments: files from the agent's own folder, labelled by their content as well as by their name.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;

use super::{ATTACHMENTS_BYTES_MAX, AttachmentError, Trusted, is_encoded_word, quote, say};
use crate::relative::{RelativePath, walk};

/// Content types whose files always begin with a known signature.
const SIGNED: [&str; 5] = ["application/pdf", "application/zip", "image/png", "image/jpeg", "image/gif"];

/// The content type of a file. The file's name decides, unless the content contradicts it.
///
/// A text is labelled with its character set, and only if it is UTF-8. A file that begins with another type's
/// signature, such as a program called `invoice.pdf`, gets the type for plain bytes.
pub(super) fn content_type(path: &str, bytes: &[u8]) -> String {
    const UNKNOWN: &str = "application/octet-stream";
    let named = mime_guess::from_path(path).first_raw().unwrap_or(UNKNOWN);
    let is_text = named.starts_with("text/");
    let office = named.contains("officedocument") || named.contains("opendocument");
    let agrees = match infer::get(bytes).map(|kind| kind.mime_type()) {
        Some("application/zip") if office => true,
        Some(found) => found == named || (is_text && found.starts_with("text/")),
        None => !SIGNED.contains(&named),
    };
    let plain = std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'));
    match is_text {
        true if agrees && plain => format!("{named}; charset=utf-8"),
        // An attached message and a file with several parts get the type for plain bytes, because mail readers would
        // take them apart.
        false if agrees && !named.starts_with("message/") && !named.starts_with("multipart/") => named.into(),
        true | false => UNKNOWN.into(),
    }
}

/// Reads a file inside `folder`. Neither `..` nor a link leads out of it. The file's properties are read from the open
/// file, because another program could replace the file between a check and the opening.
pub(super) fn read_within(folder: &Path, path: &str, bytes_max: u64) -> Result<Vec<u8>, AttachmentError> {
    let outside = || AttachmentError::Impossible(say!("{} is not a path inside the agent's workspace", quote(path)));
    let relative: RelativePath = path.parse().map_err(|_| outside())?;
    if is_encoded_word(path) {
        return Err(outside());
    }
    let top: OwnedFd = File::open(folder).map(Into::into).map_err(|error| {
        AttachmentError::Unavailable(say!("the workspace `{}` cannot be read: {}", Trusted::path(folder), quote(error)))
    })?;
    let unavailable = |error: io::Error| {
        AttachmentError::Unavailable(say!("the attachment {} cannot be read: {}", quote(path), quote(error)))
    };
    let not_a_file = || AttachmentError::Impossible(say!("{} is not a file inside the agent's workspace", quote(path)));
    let file = match walk(&top, relative.names()) {
        Ok(opened) => File::from(opened),
        Err(Errno::NOENT | Errno::NAMETOOLONG) => {
            return Err(AttachmentError::Impossible(say!("there is no attachment {}", quote(path))));
        }
        // The path contains a link, or a file in place of a folder, or names a socket.
        Err(Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => return Err(not_a_file()),
        Err(errno) => return Err(unavailable(errno.into())),
    };
    if !file.metadata().map_err(unavailable)?.is_file() {
        return Err(not_a_file());
    }
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(unavailable)?;
    if bytes.len() as u64 > bytes_max {
        let why = say!("the attachments are larger than {} bytes together", ATTACHMENTS_BYTES_MAX);
        return Err(AttachmentError::Impossible(why));
    }
    Ok(bytes)
}
