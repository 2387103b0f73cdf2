//! The lines that a guest prints. They become log lines of its run and have no other effect.
//!
//! **Invariant:** log lines are only information for people. They are stored beside the events and have no call
//! numbers. A line that was printed after the last recorded event can appear twice, because the replay prints it again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi_io::bytes::Bytes;

/// The maximum length of a line: people do not read longer lines. A longer line is split.
const LINE_BYTES_MAX: usize = 4 * 1024;

/// The maximum size of the printed lines that the host has not taken yet. Further output is dropped, and a message says
/// so. So a guest cannot fill the host's memory.
const QUEUE_BYTES_MAX: usize = 256 * 1024;

/// The size that each line counts in addition to its text. So empty lines cannot fill the memory either.
const LINE_BYTES: usize = size_of::<(Channel, String)>();

/// The number of bytes that a guest may write at once. It is constant, because otherwise the guest could observe
/// the host's speed.
const PERMIT_BYTES: usize = 64 * 1024;

/// A log message, shortened to the maximum length of a printed line. If bytes are missing, the end says how many.
pub fn log_line(mut message: String) -> String {
    let kept = message.floor_char_boundary(LINE_BYTES_MAX);
    if kept < message.len() {
        let dropped = message.len() - kept;
        message.truncate(kept);
        message.shrink_to_fit();
        message.push_str(&format!(" [{dropped} bytes were dropped here]"));
    }
    message
}

/// The two outputs of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Stdout,
    Stderr,
}

impl Channel {
    /// The level of log lines that were printed to this output.
    pub(super) fn level(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The lines that the guest has printed and that the host has not taken yet.
#[derive(Clone, Default)]
pub(super) struct Output(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    lines: VecDeque<(Channel, String)>,
    bytes: usize,
    dropped: usize,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// Takes the oldest line, without its line end. If output was dropped, the line after the last one says
    /// how many bytes.
    pub(super) fn take(&self) -> Option<(Channel, String)> {
        let mut queue = self.queue();
        if let Some((channel, text)) = queue.lines.pop_front() {
            queue.bytes = queue.bytes.saturating_sub(LINE_BYTES + text.len());
            return Some((channel, text));
        }
        let dropped = std::mem::take(&mut queue.dropped);
        (dropped > 0).then(|| (Channel::Stderr, format!("[{dropped} bytes of output were dropped here]")))
    }

    /// Whether no line is left to take.
    pub(super) fn is_empty(&self) -> bool {
        let queue = self.queue();
        queue.lines.is_empty() && queue.dropped == 0
    }

    /// Ends unfinished lines, because the guest has ended.
    pub(super) fn finish(&self) {
        let mut queue = self.queue();
        for channel in [Channel::Stdout, Channel::Stderr] {
            queue.end_line(channel);
        }
    }

    /// The guest's stream for `channel`.
    pub(super) fn stream(&self, channel: Channel) -> Stream {
        Stream { output: self.clone(), channel }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Splits bytes into lines. The unfinished last line is kept for the next bytes, up to the maximum length
    /// of a line.
    fn write(&mut self, channel: Channel, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            for chunk in text.chunks(LINE_BYTES_MAX) {
                if self.partial(channel).len() + chunk.len() > LINE_BYTES_MAX {
                    self.end_line(channel);
                }
                self.partial(channel).extend_from_slice(chunk);
            }
            if ended {
                self.push(channel);
            }
        }
    }

    fn partial(&mut self, channel: Channel) -> &mut Vec<u8> {
        match channel {
            Channel::Stdout => &mut self.stdout,
            Channel::Stderr => &mut self.stderr,
        }
    }

    fn end_line(&mut self, channel: Channel) {
        if !self.partial(channel).is_empty() {
            self.push(channel);
        }
    }

    /// Adds a line to the queue. After a line was dropped, all further lines are dropped until the host has emptied the
    /// queue. So there is only one gap, and the message about it is at its place.
    fn push(&mut self, channel: Channel) {
        let line = std::mem::take(self.partial(channel));
        // The size is measured after bytes outside UTF-8 are replaced, because the replacement can make
        // the text longer.
        let text = String::from_utf8_lossy(&line).into_owned();
        let bytes = LINE_BYTES + text.len();
        if self.bytes + bytes > QUEUE_BYTES_MAX || self.dropped > 0 {
            self.dropped += line.len() + 1;
            return;
        }
        self.bytes += bytes;
        self.lines.push_back((channel, text));
    }
}

/// A guest's stream into an [`Output`].
#[derive(Clone)]
pub(super) struct Stream {
    output: Output,
    channel: Channel,
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this stream, and the host does not offer it.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.output.queue().write(self.channel, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(output: &Output) -> Vec<String> {
        std::iter::from_fn(|| output.take().map(|(_, text)| text)).collect()
    }

    fn write(output: &Output, bytes: &[u8]) {
        output.stream(Channel::Stdout).write(Bytes::copy_from_slice(bytes)).unwrap();
    }

    #[test]
    fn pieces_become_lines_and_the_channels_do_not_mix() {
        let output = Output::default();
        write(&output, b"one\ntw");
        output.stream(Channel::Stderr).write(Bytes::from_static(b"other\n")).unwrap();
        write(&output, b"o\n\nthr\xffee");
        assert_eq!(lines(&output), ["one", "other", "two", ""]);
        assert!(output.is_empty());
        output.finish();
        assert_eq!(lines(&output), ["thr\u{fffd}ee"]);
    }

    #[test]
    fn a_flood_is_bounded_and_says_so() {
        let output = Output::default();
        for _ in 0..512 {
            write(&output, &[b'x'; 4096]);
            write(&output, b"\n\n");
        }
        let kept = lines(&output);
        let bytes: usize = kept.iter().map(String::len).sum();
        assert!(bytes <= QUEUE_BYTES_MAX + 100, "{bytes}");
        assert!(kept.last().unwrap().ends_with("bytes of output were dropped here]"), "{:?}", kept.last());
        write(&output, b"after\n");
        assert_eq!(lines(&output), ["after"]);
    }

    /// A guest may print without end: if the host takes the lines in time, no line is lost.
    #[test]
    fn what_was_taken_makes_room_again() {
        let output = Output::default();
        let empty = QUEUE_BYTES_MAX / LINE_BYTES;
        for line in [&b"\n"[..], b"text\n", b"\xff\n"] {
            for _ in 0..4 {
                let count = empty / 2;
                for _ in 0..count {
                    write(&output, line);
                }
                let taken = lines(&output);
                assert_eq!(taken.len(), count, "{line:?}: {:?}", taken.last());
                assert_eq!(output.queue().bytes, 0, "{line:?}");
            }
        }
        for _ in 0..empty + 10 {
            write(&output, b"\n");
        }
        let taken = lines(&output);
        assert_eq!(taken.len(), empty + 1, "empty lines are bounded too");
        assert_eq!(taken.last().unwrap(), "[10 bytes of output were dropped here]");
    }

    #[test]
    fn a_message_is_cut_between_characters_and_says_so() {
        assert_eq!(log_line("short".into()), "short");
        assert_eq!(log_line("x".repeat(LINE_BYTES_MAX)).len(), LINE_BYTES_MAX);
        let cut = log_line("x".to_owned() + &"ä".repeat(LINE_BYTES_MAX));
        assert_eq!(cut, "x".to_owned() + &"ä".repeat(2047) + " [4098 bytes were dropped here]");
    }

    #[test]
    fn a_line_without_end_comes_in_pieces() {
        let output = Output::default();
        write(&output, &[b'y'; 10_000]);
        output.finish();
        assert_eq!(lines(&output).iter().map(String::len).collect::<Vec<_>>(), [4096, 4096, 1808]);
    }
}
