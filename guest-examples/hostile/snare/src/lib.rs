//! Traps while one of its calls is in flight: when the host asks for room to put the answer. The run must end alone.
//!
//! Task: ignored.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use holdshort::agent::workspace;

/// Set while a call's answer is being delivered: the host asks this allocator for the room.
static DELIVERING: AtomicBool = AtomicBool::new(false);

struct Snare;

#[global_allocator]
static ALLOCATOR: Snare = Snare;

// SAFETY: none; the sandbox is what is tested.
unsafe impl GlobalAlloc for Snare {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if DELIVERING.load(Ordering::Relaxed) {
            std::process::abort();
        }
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

struct Agent;
export!(Agent);

impl Guest for Agent {
    fn run(_task: String) -> Result<String, String> {
        DELIVERING.store(true, Ordering::Relaxed);
        let answer = workspace::list_files();
        DELIVERING.store(false, Ordering::Relaxed);
        Ok(format!("got {} files", answer?.len()))
    }
}
