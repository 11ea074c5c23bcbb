//! Documents that would be expensive to answer, or to refuse.

/// A document in which `spreads` spreads of each of `levels` fragments lead to
/// `leaf`. `root` is the selection of the operation.
pub fn bomb(levels: usize, spreads: usize, root: &str, leaf: &str) -> String {
    use std::fmt::Write;
    let mut document = format!("{{ {root} }}");
    for level in 1..levels {
        let spread = format!("...f{level} ").repeat(spreads);
        let _ = write!(document, " fragment f{} on Query {{ {spread}}}", level - 1);
    }
    let last = levels - 1;
    let leaf = format!("{leaf} ").repeat(spreads);
    document + &format!(" fragment f{last} on Query {{ {leaf}}}")
}

/// `count` pieces, each with its number in place of `#`.
pub fn many(count: usize, piece: &str) -> String {
    (0..count)
        .map(|number| piece.replace('#', &number.to_string()))
        .collect()
}

/// A client with fields nested so deep.
pub fn nested(levels: usize) -> String {
    let mut selection = "id".to_owned();
    for level in (0..levels - 2).rev() {
        let field = ["primaryLocation", "client"][level % 2];
        selection = format!("{field} {{ {selection} }}");
    }
    format!("{{ client(id: 1) {{ {selection} }} }}")
}

/// Documents for which there is one limit each.
pub fn too_expensive() -> Vec<(&'static str, String)> {
    let lists = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let mut documents = vec![
        ("8 levels of 8 spreads", bomb(8, 8, "...f0", "__typename")),
        ("2^22 spreads", bomb(22, 2, "...f0", "__typename")),
        ("50^30 spreads", bomb(30, 50, "...f0", "__typename")),
        (
            "a bomb that is skipped",
            bomb(22, 2, "...f0 @skip(if: true)", "__typename"),
        ),
        (
            "31 aliases",
            format!("{{ client(id: 1) {{ {} }} }}", many(31, "a#: id ")),
        ),
        (
            "20,000 aliases",
            format!("{{ {} }}", many(20_000, "a#: __typename ")),
        ),
        (
            "21 root fields",
            format!("{{ {} }}", "__typename ".repeat(21)),
        ),
        ("11 levels of fields", nested(11)),
        (
            "1,001 fields",
            format!("{{ client(id: 1) {{ {} }} }}", "id ".repeat(1_001)),
        ),
        (
            "100,000 nested lists in a value",
            format!("{{ client(id: {}", "[".repeat(100_000)),
        ),
        (
            "20,000 nested lists in a value",
            format!("{{ client(id: {lists}) {{ id }} }}"),
        ),
        // What follows the string must not be taken for a part of it.
        (
            "lists after a block string that ends in a backslash",
            format!(r#"{{ client(id: ["""\\""" """ {lists}]) {{ id }} }}"#),
        ),
        (
            "nested objects in a value",
            format!("{{ clients(filter: {}", "{ a: ".repeat(10_000)),
        ),
        ("nested selections", "{ client ".repeat(5_000)),
        ("nested inline fragments", "{ ... ".repeat(65)),
        (
            "nested lists in a type",
            format!(
                "query ($a: {}Int{}) {{ __typename }}",
                "[".repeat(20_000),
                "]".repeat(20_000)
            ),
        ),
        ("5,000 operations", many(5_000, "query q# { __typename } ")),
        ("51 operations", many(51, "query q# { __typename } ")),
        (
            "51 fragments",
            format!(
                "{{ {} }} {}",
                many(51, "...f# "),
                many(51, "fragment f# on Query { __typename } ")
            ),
        ),
        (
            "a comment of 1 MB less the rest",
            format!("# {}\n{{ __typename }}", "x".repeat(1_000_000)),
        ),
        (
            "20,000 variables",
            format!("query ({}) {{ __typename }}", many(20_000, "$v#: Int ")),
        ),
        (
            "51 directives",
            format!("{{ {} }}", "__typename @skip(if: true) ".repeat(51)),
        ),
        (
            "50,000 directives on a field",
            format!("{{ __typename {} }}", "@a ".repeat(50_000)),
        ),
    ];
    documents.append(&mut nested_lists());
    documents
}

/// Lists in lists.
fn nested_lists() -> Vec<(&'static str, String)> {
    vec![
        (
            "records of nested lists",
            "{ clients(first: 500) { nodes { locations(first: 500) { nodes { client {
               locations(first: 500) { nodes { id } } } } } } } }"
                .to_owned(),
        ),
        (
            "values of the lists of fields that changed",
            "{ clients(first: 50) { nodes { history(first: 500) { nodes { fields {
               field old new } } } } } }"
                .to_owned(),
        ),
        (
            "lists of types, nested by __schema",
            "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
                .to_owned(),
        ),
        (
            "lists of types, nested by __type",
            "{ __type(name: \"Query\") { fields { type { fields { type { fields { type { fields {
               name } } } } } } } } }"
                .to_owned(),
        ),
    ]
}

/// Documents that are wrong as such.
pub fn wrong() -> Vec<(&'static str, String)> {
    let lists = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    vec![
        (
            "fragments that spread each other",
            "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }".to_owned(),
        ),
        (
            "a fragment that spreads itself",
            "{ ...a } fragment a on Query { ...a }".to_owned(),
        ),
        (
            "a skipped fragment that spreads itself",
            "{ __typename ...a @skip(if: true) } fragment a on Query { ...a }".to_owned(),
        ),
        (
            "a cycle that is not used",
            "{ __typename } fragment a on Query { client(id: 1) { ...b } }
             fragment b on Client { primaryLocation { client { ...b } } }"
                .to_owned(),
        ),
        (
            "a bomb that is not used",
            bomb(22, 2, "__typename", "__typename"),
        ),
        (
            "a bomb of unknown fragments",
            bomb(22, 2, "...f0", "...unknown"),
        ),
        (
            "a wide bomb of unknown fragments",
            bomb(9, 8, "...f0", "...unknown"),
        ),
        (
            "lists after a block string that does not end",
            format!(r#"{{ client(id: ["""a" {lists}]) {{ id }} }}"#),
        ),
        (
            "1,000 variables that are not used",
            format!("query ({}) {{ __typename }}", many(1_000, "$v#: Int ")),
        ),
        (
            "1,000 unknown fields",
            format!("{{ client(id: 1) {{ {} }} }}", many(900, "unknown# ")),
        ),
        (
            "a name of 60,000 characters",
            format!("{{ {} }}", "x".repeat(60_000)),
        ),
        (
            "a cycle of a name of 30,000 characters",
            "{ ...A } fragment A on Query { ...A }".replace('A', &"a".repeat(15_000)),
        ),
    ]
}
