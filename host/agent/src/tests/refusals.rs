//! Components that are refused, and the error messages.

use holdshort_gate::{FunctionType, WitType};

use super::*;
use crate::Entry;

fn refusal(bytes: &[u8]) -> String {
    Manifest::read(bytes).unwrap_err().to_string()
}

/// The problems of a component that exports `run` and imports `imports`. The component is read and never run, so its
/// code need not work.
fn problems(imports: &str) -> Vec<String> {
    let bytes = component(
        imports,
        "(core instance $host)",
        r#"(func (export "run") (param i32 i32) (result i32) unreachable)"#,
    );
    Manifest::read(&bytes).unwrap().problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_no_component_is_named_for_what_it_looks_like() {
    let not = |what: &str| {
        format!("this is not a WebAssembly component, but {what}; give the `.wasm` file that the build wrote")
    };
    assert_eq!(refusal(b""), not("an empty file"));
    assert_eq!(refusal(b"\x7fELF\x02\x01\x01"), not("a native program or library (ELF)"));
    assert_eq!(refusal(b"PK\x03\x04"), not("a compressed archive"));
    assert_eq!(refusal(b"#!/bin/sh\n"), not("a script"));
    assert_eq!(refusal("hällo\n".as_bytes()), not("text"));
    assert_eq!(
        refusal(b"version https://git-lfs.github.com/spec/v1\n"),
        not("a Git LFS pointer, whose file was not fetched")
    );
    assert_eq!(
        refusal(b"\n (component)"),
        not("WebAssembly in text form, which `wasm-tools parse` converts to the binary form")
    );
    assert_eq!(refusal(&[1, 2, 3, 4]), not("binary data of another kind"));
}

#[test]
fn a_core_module_is_told_how_to_become_a_component() {
    let module = wat::parse_str("(module)").unwrap();
    assert!(refusal(&module).contains("`wasm-tools component new`"));
}

#[test]
fn a_component_cut_off_anywhere_is_refused_and_never_panics() {
    let whole = plain(r#"(func (export "run") (param i32 i32) (result i32) unreachable)"#);
    assert!(Manifest::read(&whole).is_ok());
    for length in 4..whole.len() {
        // If only the last part of the file is cut off, the component is still complete, because that part has only the
        // names of functions.
        let Err(error) = Manifest::read(&whole[..length]) else {
            assert!(length > whole.len() * 3 / 4, "{length} of {}", whole.len());
            continue;
        };
        assert!(
            matches!(error, LoadError::Truncated { .. } | LoadError::NoRunExport { .. } | LoadError::Invalid { .. }),
            "{length}: {error}"
        );
    }
    assert_eq!(refusal(&whole[..100]), "this component is cut off after 100 bytes; copy or build the component again");
}

#[test]
fn a_section_that_claims_more_than_there_is_costs_nothing() {
    let whole = plain(r#"(func (export "run") (param i32 i32) (result i32) unreachable)"#);
    let claimed: [&[u8]; 4] =
        [&[0xff, 0xff, 0xff, 0xff, 0x0f], &[0x80, 0x80, 0x80, 0x80, 0x08], &[0xff, 0x7f], &[0x01]];
    for length in claimed {
        let lying = [&whole, [0].as_slice(), length].concat();
        assert!(matches!(Manifest::read(&lying), Err(LoadError::Truncated { .. })), "{length:x?}");
    }
    assert!(Manifest::read(&[&whole, [0, 0x80, 0x80, 0x80, 0x80, 0x80, 0].as_slice()].concat()).is_err());
    // A section is accepted if its length is right, even if the length has more bytes than necessary.
    assert!(Manifest::read(&[&whole, [0, 0x82, 0, 1, b'x'].as_slice()].concat()).is_ok());
}

#[test]
fn a_component_with_a_changed_byte_never_panics() {
    let whole = plain(r#"(func (export "run") (param i32 i32) (result i32) unreachable)"#);
    for at in 8..whole.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= change;
            let _ = Manifest::read(&changed);
        }
    }
}

#[test]
fn without_run_it_says_what_there_is() {
    let nothing = wat::parse_str("(component)").unwrap();
    assert_eq!(
        refusal(&nothing),
        "this component exports nothing; the export `run` is missing: add `run: func(task: string) -> result<string, string>`"
    );
    let other = wat::parse_str(
        r#"(component
            (core module $m (func (export "go")))
            (core instance $i (instantiate $m))
            (func $go (canon lift (core func $i "go")))
            (export "go" (func $go)))"#,
    );
    assert!(refusal(&other.unwrap()).starts_with("this component exports `go`; the export `run` is missing: "));
    let wrong = wat::parse_str(
        r#"(component
            (core module $m (func (export "run") (param i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $run (param "n" u32) (result s8) (canon lift (core func $i "run")))
            (export "run" (func $run)))"#,
    );
    assert_eq!(
        refusal(&wrong.unwrap()),
        "this component exports `run: func(n: u32) -> s8`; it must be `run: func(task: string) -> result<string, string>`"
    );
}

#[test]
fn what_an_interface_may_not_pass_is_named_with_its_function() {
    let found = problems(
        r#"(import "acme:store/store@0.1.0" (instance
            (export "file" (type $file (sub resource)))
            (export "open" (func (result (own $file))))
            (export "[method]file.size" (func (param "self" (borrow $file)) (result u64)))
            (export "plain" (func (param "n" u8)))))
        (import "acme:late/late@0.1.0" (instance
            (export "wait" (func async (result u8)))
            (export "read" (func (result (stream u8))))
            (export "soon" (func (result (future u8))))
            (export "fixed" (func (param "four" (list u8 4))))
            (export "why" (func (result error-context)))))
        (import "bare" (func (param "n" u8)))"#,
    );
    let shown = [
        "`acme:store/store@0.1.0#open` uses a resource",
        "`acme:store/store@0.1.0#[method]file.size` uses a resource",
        "`acme:late/late@0.1.0#wait` is an async function",
        "`acme:late/late@0.1.0#read` passes a stream",
        "`acme:late/late@0.1.0#soon` passes a future",
        "`acme:late/late@0.1.0#fixed` uses the type `fixed-length list`",
        "`acme:late/late@0.1.0#why` uses the type `error-context`",
        "`bare` is imported by the world itself",
    ];
    assert_eq!(found.len(), shown.len(), "{found:#?}");
    for text in shown {
        assert!(found.iter().any(|problem| problem.starts_with(text)), "{text}\n{found:#?}");
    }
}

/// Each type contains the type before it twice, so 30 lines describe a billion types.
#[test]
fn a_type_that_is_small_in_the_file_and_huge_written_out_is_refused() {
    let mut types = String::from("(type $t0 (tuple u8 u8))");
    for level in 1..14 {
        types.push_str(&format!("(type $t{level} (tuple $t{} $t{}))", level - 1, level - 1));
    }
    let found =
        problems(&format!(r#"(import "acme:big/big" (instance {types} (export "take" (func (param "all" $t13)))))"#));
    assert_eq!(
        found,
        [
            "`acme:big/big#take` has a type that is too large or too deeply nested; use fewer nested types, fields and cases"
        ]
    );
}

/// A case without a payload has no type, but it has a name that is stored, compared and shown. So cases
/// are limited too.
#[test]
fn a_type_of_very_many_cases_is_refused() {
    let of = |kind: &str, cases: usize, params: usize| {
        let each = |case: usize| if kind == "enum" { format!("\"c{case}\"") } else { format!("(case \"c{case}\")") };
        let cases = (0..cases).map(each).collect::<Vec<_>>().join(" ");
        let params = (0..params).map(|param| format!("(param \"p{param}\" $t)")).collect::<String>();
        problems(&format!(
            r#"(import "acme:big/big" (instance
                (type $cases ({kind} {cases})) (export "t" (type $t (eq $cases)))
                (export "take" (func {params}))))"#
        ))
    };
    let too_large = "`acme:big/big#take` has a type that is too large or too deeply nested; use fewer nested types, fields and cases";
    for kind in ["enum", "variant"] {
        assert_eq!(of(kind, 2_000, 2), Vec::<String>::new(), "{kind}");
        assert_eq!(of(kind, 2_000, 3), [too_large], "{kind}: written out once for each parameter");
        assert_eq!(of(kind, 5_000, 1), [too_large], "{kind}");
    }
}

#[test]
fn wasi_outside_the_subset_is_named_and_any_release_of_it_is_within() {
    let import = |name: &str| format!(r#"(import "{name}" (instance (export "f" (func))))"#);
    for outside in [
        "wasi:http/outgoing-handler@0.2.3",
        "wasi:cli/exit@0.3.0",
        "wasi:cli/exit@0.2.0-rc-2023-11-10",
        "wasi:nn/graph@0.2.0",
        "wasi:cli/exit",
    ] {
        let found = problems(&import(outside));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("`{outside}` is not offered")), "{found:#?}");
    }
    for within in ["wasi:cli/exit@0.2.0", "wasi:sockets/udp-create-socket@0.2.6", "wasi:random/random@0.2.99"] {
        assert!(problems(&import(within)).is_empty(), "{within}");
    }
    let types = r#"(import "wasi:http/types@0.2.0" (instance (type $s string) (export "m" (type (eq $s)))))"#;
    assert!(problems(types).is_empty());
}

#[test]
fn problems_keep_a_component_from_being_compiled() {
    let bytes = component(
        r#"(import "bare" (func))"#,
        "(core instance $host)",
        r#"(func (export "run") (param i32 i32) (result i32) unreachable)"#,
    );
    let error = load(&engine(), &bytes).err().unwrap();
    assert!(
        error.to_string().starts_with("this component cannot be run here: `bare` is imported by the world itself"),
        "{error}"
    );
}

#[test]
fn a_manifest_names_every_function_with_its_type() {
    let bytes = component(
        r#"(type $pay (instance
              (type $money' (record (field "minor-units" u64) (field "currency" string)))
              (export "money" (type $money (eq $money')))
              (export "pay" (func (param "amount" $money) (param "note" (option string)) (result (result u32 (error string)))))))
           (import "acme:pay/pay@2.0.0-beta.1+x" (instance (type $pay)))"#,
        "(core instance $host)",
        r#"(func (export "run") (param i32 i32) (result i32) unreachable)"#,
    );
    let manifest = Manifest::read(&bytes).unwrap();
    assert_eq!((manifest.entry, manifest.problems.len(), manifest.wasi.len()), (Entry::Run, 0, 0));
    let [import] = manifest.imports.as_slice() else { panic!("{:?}", manifest.imports) };
    assert_eq!(import.capability.to_string(), "acme:pay/pay@2.0.0-beta.1+x#pay");
    let money = WitType::Record(vec![("minor-units".into(), WitType::U64), ("currency".into(), WitType::String)]);
    let result = WitType::Result { ok: Some(Box::new(WitType::U32)), err: Some(Box::new(WitType::String)) };
    let note = WitType::Option(Box::new(WitType::String));
    assert_eq!(
        import.ty,
        FunctionType { params: vec![("amount".into(), money), ("note".into(), note)], result: Some(result) }
    );
    let stored = serde_json::to_string(import).unwrap();
    assert_eq!(serde_json::from_str::<crate::Import>(&stored).unwrap(), *import);
}

/// A component with one imported function, whose type is a nested list of this depth.
fn lists(depth: usize) -> Vec<u8> {
    let types: String = (1..=depth).map(|n| format!("(type $t{n} (list $t{}))", n - 1)).collect();
    let imports = format!(
        r#"(type $deep (instance (type $t0 string) {types} (export "f" (func (param "p" $t{depth})))))
           (import "acme:deep/deep" (instance (type $deep)))"#
    );
    component(&imports, "(core instance $host)", r#"(func (export "run") (param i32 i32) (result i32) unreachable)"#)
}

#[test]
fn types_are_as_deep_as_every_reader_of_them_can_go() {
    let manifest = Manifest::read(&lists(30)).unwrap();
    assert_eq!((manifest.imports.len(), manifest.problems.len()), (1, 0));
    // A child sends its result as JSON, and the host's reader accepts 128 levels.
    let told = serde_json::to_string(&Ok::<_, String>(&manifest)).unwrap();
    assert_eq!(serde_json::from_str::<Result<Manifest, String>>(&told).unwrap().unwrap(), manifest);
    for depth in [34, 60, 90] {
        let manifest = Manifest::read(&lists(depth)).unwrap();
        assert_eq!(manifest.imports.len(), 0, "{depth}");
        assert!(manifest.problems[0].to_string().contains("too large or too deep"), "{:?}", manifest.problems);
    }
}

#[test]
fn what_is_said_of_a_component_is_short() {
    let pairs: String = (1..16).map(|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1)).collect();
    let run = format!(
        "(component (type $t0 string) {pairs} (import \"f\" (func $f (param \"p\" $t15))) (export \"run\" (func $f)))"
    );
    let said = refusal(&wat::parse_str(run).unwrap());
    assert!(said.contains("it must be `run: func(task: string)") && said.len() < 600, "{said}");
    let long = "x".repeat(2_000);
    let exports: String = (0..200).map(|n| format!("(export \"{long}{n}\" (func $f))")).collect();
    let said = refusal(&wat::parse_str(format!("(component (import \"f\" (func $f)) {exports})")).unwrap());
    assert!(said.contains("190 more") && said.len() < 2_000, "{said}");
    let many: String = (0..200).map(|n| format!("(import \"{long}{n}\" (func))")).collect();
    let said = problems(&many);
    assert_eq!(said.len(), 51);
    assert!(said.iter().all(|one| one.len() < 400), "{said:?}");
}
