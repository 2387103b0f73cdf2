//! Tells the host to put an answer where there is no memory. The host must not believe it; the run ends alone.
//!
//! Task: ignored.

wit_bindgen::generate!({ world: "agent", path: "../../../wit" });

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

use holdshort::agent::workspace;

/// Set while a call's answer is being delivered: the host asks this allocator for the room.
static DELIVERING: AtomicBool = AtomicBool::new(false);

struct Liar;

#[global_allocator]
static ALLOCATOR: Liar = Liar;

// SAFETY: none; the sandbox is what is tested.
unsafe impl GlobalAlloc for Liar {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if DELIVERING.load(Ordering::Relaxed) {
            // Aligned, and the last of all addresses: nothing fits there.
            return (usize::MAX - 15) as *mut u8;
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
        Ok(format!("got {answer:?}"))
    }
}
