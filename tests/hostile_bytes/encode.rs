//! A small encoder of the binary format, for components that no tool would write.

/// A number in LEB128.
pub fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        bytes.push(if number == 0 { low } else { low | 0x80 });
        if number == 0 {
            return bytes;
        }
    }
}

/// A number in the signed form that constant instructions and types use, where the highest bit of the last byte is the
/// sign.
pub fn signed(number: usize) -> Vec<u8> {
    let mut bytes = leb(number);
    if bytes.last().is_some_and(|last| last & 0x40 != 0) {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push(0);
    }
    bytes
}

/// The bytes with their length in front.
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    [&leb(bytes.len()), bytes].concat()
}

/// A section, or a custom section, of a module or of a component.
pub fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id][..], &sized(body)].concat()
}

/// `count` items, each written by `item`, with the count in front.
pub fn vec(count: usize, item: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = leb(count);
    (0..count).for_each(|index| bytes.extend(item(index)));
    bytes
}

pub const MODULE: &[u8] = b"\0asm\x01\0\0\0";
pub const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A core module with these sections.
pub fn module(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    sections.iter().fold(MODULE.to_vec(), |module, (id, body)| [module, section(*id, body)].concat())
}

/// A function of a core module: runs of locals, and code without its `end`.
pub fn function(locals: &[(usize, u8)], code: &[u8]) -> Vec<u8> {
    let locals = vec(locals.len(), |index| [leb(locals[index].0), vec![locals[index].1]].concat());
    sized(&[&locals, code, &[0x0b]].concat())
}

/// A module with one type, without parameters and results, and these functions.
pub fn functions(count: usize, function: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    module(&[(1, vec![1, 0x60, 0, 0]), (3, vec(count, |_| vec![0])), (10, vec(count, function))])
}

/// An honest component: it exports `run`, imports nothing, and returns its input. Its core modules have the numbers 0
/// and 1.
pub fn honest() -> Vec<u8> {
    wat::parse_str(
        r#"(component
            (core module $libc
                (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 64)))
            (core instance $libc (instantiate $libc))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "realloc" (core func $realloc))
            (core module $main
                (import "libc" "memory" (memory 1))
                (func (export "run") (param i32 i32) (result i32)
                    (i32.store8 (i32.const 16) (i32.const 0))
                    (i32.store (i32.const 20) (local.get 0))
                    (i32.store (i32.const 24) (local.get 1))
                    (i32.const 16)))
            (core instance $main (instantiate $main (with "libc" (instance $libc))))
            (func $run (param "task" string) (result (result string (error string)))
                (canon lift (core func $main "run") (memory $memory) (realloc $realloc)))
            (export "run" (func $run)))"#,
    )
    .unwrap()
}

/// The honest component, followed by these sections.
pub fn and(tail: &[Vec<u8>]) -> Vec<u8> {
    [honest(), tail.concat()].concat()
}

/// The honest component with one more core module, which is instantiated.
pub fn and_module(module: &[u8]) -> Vec<u8> {
    and(&[section(1, module), section(2, &[1, 0, 2, 0])])
}
