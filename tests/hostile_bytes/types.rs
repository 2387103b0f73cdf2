//! Components that attack with their types, names and sections.

use crate::encode::{COMPONENT, and, leb, section, signed, sized, vec};

/// A component with these sections only, which exports nothing.
fn alone(sections: &[Vec<u8>]) -> Vec<u8> {
    [COMPONENT, &sections.concat()].concat()
}

/// How many types the honest component defines. The indexes of further types begin here.
const HONEST_TYPES: usize = 2;

/// Nested types: `opening` opens each level, and `innermost` ends them.
fn nested(opening: &[u8], depth: usize, innermost: &[u8]) -> Vec<u8> {
    section(7, &[&[1], opening.repeat(depth).as_slice(), innermost].concat())
}

/// Nested components.
fn matryoshka(depth: usize) -> Vec<u8> {
    (0..depth).fold(COMPONENT.to_vec(), |inner, _| [COMPONENT, &section(4, &inner)].concat())
}

/// An honest component with a chain of types, each made of the one before, and an import that uses the last type.
fn chain(length: usize, next: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let types = vec(length + 1, |index| if index == 0 { vec![0x73] } else { next(HONEST_TYPES + index - 1) });
    let length = HONEST_TYPES + length;
    let function = [&[0x40, 1, 1, b'p'][..], &signed(length), &[1, 0]].concat();
    let import = [&[1, 0][..], &sized(b"acme"), &[1], &leb(length + 1)].concat();
    and(&[section(7, &types), section(7, &[&[1], function.as_slice()].concat()), section(10, &import)])
}

/// A name of this many letters.
fn name(length: usize) -> Vec<u8> {
    [&[0][..], &sized(&b"a".repeat(length))].concat()
}

/// An honest component that imports an interface with this many functions.
fn interface(functions: usize, name: impl Fn(usize) -> String) -> Vec<u8> {
    let exported = |index: usize| [&[4, 0][..], &sized(name(index).as_bytes()), &[1, 0]].concat();
    let declared = (0..functions).flat_map(exported).collect::<Vec<u8>>();
    let body = [&[1, 0x42][..], &leb(functions + 1), &[1, 0x40, 0, 1, 0], &declared].concat();
    let import = [&[1, 0][..], &sized(b"acme:a/b@1.0.0"), &[5], &leb(HONEST_TYPES)].concat();
    and(&[section(7, &body), section(10, &import)])
}

fn custom(name: &[u8], body: &[u8]) -> Vec<u8> {
    section(0, &[&sized(name), body].concat())
}

/// The name and the bytes of each bomb.
pub fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let pair = |index: usize| [&[0x6f, 2][..], &signed(index), &signed(index)].concat();
    let field = |letter: u8, index: usize| [&[1, letter][..], &signed(index)].concat();
    let case = |letter: u8, index: usize| [&[1, letter, 1][..], &signed(index), &[0]].concat();
    let named = |index: usize| sized(format!("n{index}").as_bytes());
    vec![
        ("nested-instance-types", alone(&[nested(&[0x42, 1, 1], 5_000, &[0x42, 0])])),
        ("nested-instance-types-100000", alone(&[nested(&[0x42, 1, 1], 100_000, &[0x42, 0])])),
        ("nested-component-types", alone(&[nested(&[0x41, 1, 1], 20_000, &[0x41, 0])])),
        ("nested-types-of-both-kinds", alone(&[nested(&[0x41, 1, 1, 0x42, 1, 1], 10_000, &[0x42, 0])])),
        (
            "nested-core-module-types",
            alone(&[section(3, &[&[1][..], &[0x50, 1, 1].repeat(5_000), &[0x50, 0]].concat())]),
        ),
        ("nested-components", matryoshka(5_000)),
        ("nested-components-and-run", and(&[section(4, &matryoshka(2_000))])),
        ("list-of-list", chain(50_000, |index| [&[0x70][..], &signed(index)].concat())),
        ("option-of-option", chain(50_000, |index| [&[0x6b][..], &signed(index)].concat())),
        ("list-90-deep", chain(90, |index| [&[0x70][..], &signed(index)].concat())),
        ("pairs-of-pairs-15", chain(15, pair)),
        ("pairs-of-pairs-20", chain(20, pair)),
        ("pairs-of-pairs-60", chain(60, pair)),
        ("records-of-records", chain(40, |i| [vec![0x72, 2], field(b'a', i), field(b'b', i)].concat())),
        ("variants-of-variants", chain(40, |i| [vec![0x71, 2], case(b'a', i), case(b'b', i)].concat())),
        ("results-of-results", chain(40, |i| [&[0x6a, 1][..], &signed(i), &[1], &signed(i)].concat())),
        (
            "record-of-100000-fields",
            alone(&[section(7, &[&[1, 0x72][..], &vec(100_000, |i| [named(i), vec![0x73]].concat())].concat())]),
        ),
        ("enum-of-500000-cases", alone(&[section(7, &[&[1, 0x6d][..], &vec(500_000, named)].concat())])),
        ("flags-of-100000", alone(&[section(7, &[&[1, 0x6e][..], &vec(100_000, named)].concat())])),
        (
            "function-of-100000-parameters",
            alone(&[section(
                7,
                &[&[1, 0x40][..], &vec(100_000, |i| [named(i), vec![0x73]].concat()), &[1, 0]].concat(),
            )]),
        ),
        ("a-million-types", alone(&[section(7, &vec(1_000_000, |_| vec![0x73]))])),
        ("interface-of-900-functions", interface(900, |index| format!("f{index}"))),
        ("interface-of-100000-functions", interface(100_000, |index| format!("f{index}"))),
        ("interface-of-long-names", interface(50, |index| format!("f{index}-{}", "x".repeat(90_000)))),
        (
            "a-name-of-8-MB",
            alone(&[section(7, &[1, 0x42, 0]), section(10, &[&[1][..], &name(8 << 20), &[5, 0]].concat())]),
        ),
        (
            "100000-imports",
            alone(&[
                section(7, &[1, 0x42, 0]),
                section(10, &vec(100_000, |i| [&[0][..], &named(i), &[5, 0]].concat())),
            ]),
        ),
        ("a-custom-section-of-8-MB", and(&[custom(b"notes", &vec![7; 8 << 20])])),
        ("200000-custom-sections", and(&[custom(b"n", b"").repeat(200_000)])),
        (
            "package-docs-of-nested-json",
            and(&[custom(b"package-docs", &[&[1], "[".repeat(200_000).as_bytes()].concat())]),
        ),
        ("component-type-of-noise", and(&[custom(b"component-type", &[0xff; 4_096])])),
        ("lengths-of-gigabytes", alone(&[section(7, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x42])])),
        ("a-section-longer-than-the-file", [COMPONENT, &[7, 0xff, 0xff, 0xff, 0xff, 0x07]].concat()),
        (
            "aliases-of-an-outer-type",
            and(&[section(4, &[COMPONENT, &section(6, &vec(200_000, |_| vec![3, 2, 1, 0]))].concat())]),
        ),
    ]
}
