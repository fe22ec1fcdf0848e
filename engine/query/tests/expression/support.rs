//! Evaluates the tables.

use bson::{Bson, DateTime, Document, doc};
use nimbus_query::{Expression, ParseContext, QueryError, Scope, Variables};

/// What the expressions of the tables see.
pub(crate) fn document() -> Document {
    doc! {
        "int": 7,
        "long": 5_000_000_000_i64,
        "double": 2.5,
        "decimal": decimal("1.25"),
        "text": "héllo",
        "null": null,
        "yes": true,
        "date": DateTime::from_millis(1_000),
        "array": [3, 1, 2],
        "object": { "a": 1, "b": { "c": 2 } },
        "objects": [{ "x": 1, "y": { "z": 1 } }, { "x": 2 }, 5, [{ "x": 3 }], { "w": 4 }],
        "nested": [[1, 2], [3]],
    }
}

pub(crate) fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().unwrap())
}

/// The value of an expression; `None` is a missing one.
pub(crate) fn evaluate(expression: &Bson) -> Result<Option<Bson>, QueryError> {
    let (context, document) = (ParseContext::default(), document());
    let variables = Variables::default();
    Expression::parse(expression, &context)?.evaluate(&Scope::of(&document, &variables))
}

/// Each expression has the value beside it, of that very type.
pub(crate) fn assert_values(table: &[(Bson, Bson)]) {
    for (expression, expected) in table {
        let value = evaluate(expression);
        match (&value, expected) {
            (Ok(Some(Bson::Double(value))), Bson::Double(expected))
                if value.is_nan() && expected.is_nan() => {}
            _ => assert_eq!(value.as_ref(), Ok(&Some(expected.clone())), "{expression}"),
        }
    }
}

/// Each expression has no value.
pub(crate) fn assert_missing(expressions: &[Bson]) {
    for expression in expressions {
        assert_eq!(evaluate(expression), Ok(None), "{expression}");
    }
}

/// Each expression fails with the number beside it.
pub(crate) fn assert_errors(table: &[(Bson, i32)]) {
    for (expression, code) in table {
        let result = evaluate(expression);
        assert_eq!(result.as_ref().map_err(|error| error.code), Err(*code), "{expression}: {result:?}");
    }
}
