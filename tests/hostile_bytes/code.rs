//! Components that attack with their core modules: they export `run` like an honest component, and the host must
//! compile a component before any of its code runs.

use crate::encode::{and, and_module, function, functions, leb, module, section, signed, sized, vec};

const I32: u8 = 0x7f;
const V128: u8 = 0x7b;

/// Nested code.
fn nested(opening: &[u8], depth: usize, innermost: &[u8]) -> Vec<u8> {
    [opening.repeat(depth).as_slice(), innermost, &[0x0b].repeat(depth)].concat()
}

/// Many nested loops, each of which may repeat. The innermost loop changes every local.
fn loops_times_locals(loops: usize, locals: usize) -> Vec<u8> {
    let change = |local: usize| [&[0x20][..], &leb(local), &[0x41, 1, 0x6a, 0x21], &leb(local)].concat();
    let changes = (0..locals).flat_map(change).collect::<Vec<u8>>();
    let again = |depth: usize| [&[0x20, 0, 0x0d][..], &leb(depth)].concat();
    let code = [changes, (0..loops).flat_map(again).collect()].concat();
    functions(1, |_| function(&[(locals, I32)], &nested(&[0x03, 0x40], loops, &code)))
}

/// One function that repeats this code.
fn repeated(code: &[u8], count: usize, locals: &[(usize, u8)]) -> Vec<u8> {
    functions(1, |_| function(locals, &code.repeat(count)))
}

/// Two bytes of data, so far apart that the compiled module contains the whole image between them.
fn sparse() -> Vec<u8> {
    let data = |at: usize| [&[0, 0x41][..], &signed(at), &[0x0b, 1, 7]].concat();
    module(&[(5, vec![1, 0, 0x80, 0x02]), (11, [leb(2), data(0), data(15 << 20)].concat())])
}

/// A module with many parts of one kind.
fn crowd(id: u8, count: usize, part: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    module(&[(id, vec(count, part))])
}

/// The name and the bytes of each bomb.
pub fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let named = |index: usize| sized(format!("n{index}").as_bytes());
    let wide = [&[0x60][..], &vec(900, |_| vec![I32]), &vec(900, |_| vec![I32])].concat();
    let call_wide = [[0x41, 0].repeat(900), vec![0x10, 0], [0x1a].repeat(900)].concat();
    let wide_calls = module(&[
        (1, [vec![2], wide, vec![0x60, 0, 0]].concat()),
        (3, vec![2, 0, 1]),
        (10, [vec![2], function(&[], &[0x00]), function(&[], &call_wide.repeat(200))].concat()),
    ]);
    let table = module(&[
        (1, vec![1, 0x60, 0, 0]),
        (3, vec![1, 0]),
        (4, [vec![1, 0x70, 0], leb(9_000_000)].concat()),
        (9, [vec![1, 0, 0x41, 0, 0x0b], vec(1_000_000, |_| vec![0])].concat()),
        (10, [vec![1], function(&[], &[])].concat()),
    ]);
    vec![
        ("100-loops-5000-locals", and_module(&loops_times_locals(100, 5_000))),
        ("500-loops-20000-locals", and_module(&loops_times_locals(500, 20_000))),
        ("loops-10000-deep", and_module(&functions(1, |_| function(&[], &nested(&[0x03, 0x40], 10_000, &[]))))),
        ("blocks-200000-deep", and_module(&functions(1, |_| function(&[], &nested(&[0x02, 0x40], 200_000, &[]))))),
        ("ifs-50000-deep", and_module(&functions(1, |_| function(&[], &nested(&[0x41, 0, 0x04, 0x40], 50_000, &[]))))),
        (
            "branch-table-of-a-million",
            and_module(&functions(1, |_| {
                function(&[], &[&[0x41, 0, 0x0e][..], &vec(1_000_000, |_| vec![0]), &[0]].concat())
            })),
        ),
        ("a-million-functions", and_module(&functions(1_000_000, |_| function(&[], &[])))),
        (
            "100000-functions-with-loops",
            and_module(&functions(100_000, |_| function(&[(20, I32)], &nested(&[0x03, 0x40], 5, &[])))),
        ),
        ("5000000-additions", and_module(&repeated(&[0x20, 0, 0x41, 1, 0x6a, 0x21, 0], 1_000_000, &[(1, I32)]))),
        (
            "500000-operands",
            and_module(&functions(1, |_| function(&[], &[[0x41, 7].repeat(500_000), [0x1a].repeat(500_000)].concat()))),
        ),
        ("50000-locals-in-each", and_module(&functions(500, |_| function(&[(50_000, I32)], &[])))),
        ("vectors", and_module(&repeated(&[0x20, 0, 0x20, 0, 0xfd, 0xe4, 0x01, 0x21, 0], 300_000, &[(1, V128)]))),
        (
            "stores",
            and_module(&module(&[
                (1, vec![1, 0x60, 0, 0]),
                (3, vec![1, 0]),
                (5, vec![1, 0, 1]),
                (10, [vec![1], function(&[(1, I32)], &[0x20, 0, 0x41, 0, 0x36, 2, 0].repeat(400_000))].concat()),
            ])),
        ),
        ("900-parameters-and-results", and_module(&wide_calls)),
        ("a-million-core-types", and_module(&crowd(1, 1_000_000, |_| vec![0x60, 0, 0]))),
        ("a-table-of-9-million", and_module(&table)),
        (
            "16-MB-of-data",
            and_module(&module(&[
                (5, vec![1, 0, 0x80, 0x02]),
                (11, [vec![1, 0, 0x41, 0, 0x0b], sized(&vec![7; 15 << 20])].concat()),
            ])),
        ),
        (
            "100000-pieces-of-data",
            and_module(&module(&[(5, vec![1, 0, 1]), (11, vec(100_000, |_| vec![0, 0x41, 0, 0x0b, 1, 7]))])),
        ),
        ("sparse-data-in-50-modules", and(&[section(1, &sparse()).repeat(50)])),
        ("sparse-data-in-1000-modules", and(&[section(1, &sparse()).repeat(1_000)])),
        ("900000-globals", and_module(&crowd(6, 900_000, |_| vec![I32, 1, 0x41, 0, 0x0b]))),
        (
            "100000-core-exports",
            and_module(&module(&[
                (1, vec![1, 0x60, 0, 0]),
                (3, vec![1, 0]),
                (7, vec(100_000, |i| [named(i), vec![0, 0]].concat())),
                (10, [vec![1], function(&[], &[])].concat()),
            ])),
        ),
        (
            "100000-core-imports",
            and(&[section(
                1,
                &module(&[(1, vec![1, 0x60, 0, 0]), (2, vec(100_000, |i| [vec![0], named(i), vec![0, 0]].concat()))]),
            )]),
        ),
        ("5000-modules", and(&[section(1, &functions(1, |_| function(&[], &[]))).repeat(5_000)])),
        (
            "20000-instances",
            and(&[section(1, &functions(1, |_| function(&[], &[]))), section(2, &vec(20_000, |_| vec![0, 2, 0]))]),
        ),
        ("20000-lifted-functions", and(&[section(8, &vec(20_000, |_| vec![0, 0, 1, 2, 3, 0, 4, 0, 1]))])),
        (
            "names-of-functions",
            and_module(
                &[
                    functions(1, |_| function(&[], &[])),
                    section(0, &[sized(b"name"), section(1, &vec(1_000_000, |_| vec![0, 0]))].concat()),
                ]
                .concat(),
            ),
        ),
    ]
}
