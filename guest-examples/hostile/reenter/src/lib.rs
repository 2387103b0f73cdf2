//! Calls the host from within the delivery of an answer. The rules of components forbid that; the run must end alone, and the call not happen.
//!
//! Task: ignored.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use holdshort::agent::workspace;

/// Set while a call's answer is being delivered: the host asks this allocator for the room.
static DELIVERING: AtomicBool = AtomicBool::new(false);

struct Reentrant;

#[global_allocator]
static ALLOCATOR: Reentrant = Reentrant;

// SAFETY: none; the sandbox is what is tested.
unsafe impl GlobalAlloc for Reentrant {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if DELIVERING.swap(false, Ordering::Relaxed) {
            let _ = workspace::read_file("report.txt");
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
        Ok(format!("called while being answered: {answer:?}"))
    }
}
