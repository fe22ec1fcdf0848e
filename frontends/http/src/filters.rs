//! JSON filters and orders → the engine's.
//!
//! Promises: an unknown operator or key is refused by name, with the place where it stands.
//! Deliberately unknown: how a filter is matched or which index answers it.

use bson::Bson;
use nimbus_query::{Filter, Predicate, SortKey};
use nimbus_types::limits;
use serde_json::{Map, Value};

use crate::document::check_path;
use crate::error::{ApiError, Result};
use crate::extended_json::to_bson;

/// The operators, as error messages list them.
const OPERATORS: &str = "eq neq gt gte lt lte in nin exists prefix contains and or not";

/// Reads the `filters` of a query: all of them must hold.
pub(crate) fn parse_filters(filters: Vec<Value>) -> Result<Filter> {
    let filter = match all_of(filters, "filters")? {
        parsed if parsed.is_empty() => Filter::All,
        parsed => Filter::And(parsed),
    };
    if filter.clauses() > limits::FILTER_CLAUSES {
        let message = format!("a query may hold at most {} filters", limits::FILTER_CLAUSES);
        return Err(ApiError::invalid(message).at("filters"));
    }
    Ok(filter)
}

fn all_of(filters: Vec<Value>, place: &str) -> Result<Vec<Filter>> {
    let numbered = filters.into_iter().enumerate();
    numbered.map(|(index, filter)| parse_filter(filter, &format!("{place}[{index}]"))).collect()
}

fn parse_filter(filter: Value, place: &str) -> Result<Filter> {
    let Value::Object(mut keys) = filter else { return Err(refuse("a filter must be an object", place)) };
    let operator = match keys.remove("op") {
        Some(Value::String(operator)) => operator,
        Some(_) => return Err(refuse("\"op\" must be a string", place)),
        None => return Err(refuse("a filter needs \"op\"", place)),
    };
    let value = keys.remove("value").ok_or_else(|| refuse("a filter needs \"value\"", place))?;
    let inner = format!("{place}.value");
    let filter = match operator.as_str() {
        "and" => Filter::And(all_of(some_filters(value, &inner)?, &inner)?),
        "or" => Filter::Or(all_of(some_filters(value, &inner)?, &inner)?),
        "not" => Filter::Not(Box::new(parse_filter(value, &inner)?)),
        _ => {
            let predicate = parse_predicate(&operator, value, place)?;
            Filter::Field { path: take_field(&operator, &mut keys, place)?, predicate }
        }
    };
    match keys.keys().next() {
        Some(key) => {
            Err(refuse(&format!("unknown key {key:?} in a filter"), place).detail("key", key.as_str()))
        }
        None => Ok(filter),
    }
}

fn take_field(operator: &str, keys: &mut Map<String, Value>, place: &str) -> Result<String> {
    let path = match keys.remove("field") {
        Some(Value::String(path)) => path,
        Some(_) => return Err(refuse("\"field\" must be a string", place)),
        None => return Err(refuse(&format!("the operator {operator:?} needs \"field\""), place)),
    };
    check_path(&path).map_err(|error| error.at(place))?;
    Ok(path)
}

fn parse_predicate(operator: &str, value: Value, place: &str) -> Result<Predicate> {
    let inner = format!("{place}.value");
    let one = |value| to_bson(value).map_err(|error| error.at(&inner));
    let many = |value| match value {
        Value::Array(items) => items.into_iter().map(one).collect::<Result<Vec<Bson>>>(),
        _ => Err(refuse(&format!("the value of {operator:?} must be an array"), &inner)),
    };
    Ok(match operator {
        "eq" => Predicate::Eq(one(value)?),
        "neq" => Predicate::Ne(one(value)?),
        "gt" => Predicate::Gt(one(value)?),
        "gte" => Predicate::Gte(one(value)?),
        "lt" => Predicate::Lt(one(value)?),
        "lte" => Predicate::Lte(one(value)?),
        "in" => Predicate::In(many(value)?),
        "nin" => Predicate::NotIn(many(value)?),
        "contains" => Predicate::Contains(one(value)?),
        "exists" => match value {
            Value::Bool(exists) => Predicate::Exists(exists),
            _ => return Err(refuse("the value of \"exists\" must be true or false", &inner)),
        },
        "prefix" => match value {
            Value::String(prefix) => Predicate::Prefix(prefix),
            _ => return Err(refuse("the value of \"prefix\" must be a string", &inner)),
        },
        _ => {
            let message = format!("unknown operator {operator:?}; the operators are {OPERATORS}");
            return Err(refuse(&message, place).detail("op", operator));
        }
    })
}

fn some_filters(value: Value, place: &str) -> Result<Vec<Value>> {
    match value {
        Value::Array(filters) if !filters.is_empty() => Ok(filters),
        _ => Err(refuse("the value of \"and\" and \"or\" must be an array of at least one filter", place)),
    }
}

/// Reads an `order`: a field's path (ascending), `{"field","direction"?}`, or an array of those, the
/// first one foremost.
pub(crate) fn parse_order(order: Value) -> Result<Vec<SortKey>> {
    match order {
        Value::Null => Ok(Vec::new()),
        Value::Array(keys) => {
            let numbered = keys.into_iter().enumerate();
            numbered.map(|(index, key)| parse_sort_key(key, &format!("order[{index}]"))).collect()
        }
        key => parse_sort_key(key, "order").map(|key| vec![key]),
    }
}

/// Reads one field with its direction, as orders and indexes have them.
pub(crate) fn parse_sort_key(key: Value, place: &str) -> Result<SortKey> {
    let (path, direction) = match key {
        Value::String(path) => (path, None),
        Value::Object(mut keys) => {
            let Some(Value::String(path)) = keys.remove("field") else {
                return Err(refuse("\"field\" must be a string", place));
            };
            let direction = keys.remove("direction");
            if let Some(other) = keys.keys().next() {
                let error =
                    refuse(&format!("unknown key {other:?} beside \"field\" and \"direction\""), place);
                return Err(error.detail("key", other.as_str()));
            }
            (path, direction)
        }
        _ => return Err(refuse("expected a field's path or {\"field\",\"direction\"}", place)),
    };
    check_path(&path).map_err(|error| error.at(place))?;
    let descending = match direction.as_ref().map(Value::as_str) {
        None | Some(Some("asc")) => false,
        Some(Some("desc")) => true,
        Some(_) => return Err(refuse("\"direction\" must be \"asc\" or \"desc\"", place)),
    };
    Ok(SortKey { path, descending })
}

fn refuse(problem: &str, place: &str) -> ApiError {
    ApiError::invalid(format!("{place}: {problem}")).at(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filters(value: Value) -> Result<Filter> {
        let Value::Array(filters) = value else { panic!("{value} is no array") };
        parse_filters(filters)
    }

    fn field(path: &str, predicate: Predicate) -> Filter {
        Filter::Field { path: path.into(), predicate }
    }

    #[test]
    fn each_operator_is_read() {
        let one = Bson::Int32(1);
        for (op, value, predicate) in [
            ("eq", json!(1), Predicate::Eq(one.clone())),
            ("neq", json!(1), Predicate::Ne(one.clone())),
            ("gt", json!(1), Predicate::Gt(one.clone())),
            ("gte", json!(1), Predicate::Gte(one.clone())),
            ("lt", json!(1), Predicate::Lt(one.clone())),
            ("lte", json!(1), Predicate::Lte(one.clone())),
            ("in", json!([1]), Predicate::In(vec![one.clone()])),
            ("nin", json!([1]), Predicate::NotIn(vec![one.clone()])),
            ("exists", json!(false), Predicate::Exists(false)),
            ("prefix", json!("a"), Predicate::Prefix("a".into())),
            ("contains", json!(1), Predicate::Contains(one.clone())),
        ] {
            let read = filters(json!([{"field": "a.b", "op": op, "value": value}])).unwrap();
            assert_eq!(read, Filter::And(vec![field("a.b", predicate)]), "{op}");
        }
        assert_eq!(filters(json!([])).unwrap(), Filter::All);
    }

    #[test]
    fn logical_operators_nest() {
        let read = filters(json!([{"op": "or", "value": [
            {"op": "not", "value": {"field": "a", "op": "eq", "value": {"$numberLong": "5"}}},
            {"op": "and", "value": [{"field": "b", "op": "exists", "value": true}]},
        ]}]));
        let expected = Filter::And(vec![Filter::Or(vec![
            Filter::Not(Box::new(field("a", Predicate::Eq(Bson::Int64(5))))),
            Filter::And(vec![field("b", Predicate::Exists(true))]),
        ])]);
        assert_eq!(read.unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (value, needle) in [
            (json!([1]), "filters[0]: a filter must be an object"),
            (json!([{"field": "a", "op": "regex", "value": 1}]), "unknown operator \"regex\""),
            (json!([{"field": "a", "op": "eq", "value": 1, "valeu": 2}]), "unknown key \"valeu\""),
            (json!([{"field": "a", "op": "eq"}]), "needs \"value\""),
            (json!([{"op": "eq", "value": 1}]), "needs \"field\""),
            (json!([{"field": "a", "op": "in", "value": 1}]), "filters[0].value"),
            (json!([{"field": "a", "op": "exists", "value": 1}]), "true or false"),
            (json!([{"field": "a", "op": "prefix", "value": 1}]), "must be a string"),
            (json!([{"op": "or", "value": []}]), "at least one filter"),
            (
                json!([{"field": "a", "op": "and", "value": [{"field": "a", "op": "exists", "value": true}]}]),
                "unknown key \"field\"",
            ),
            (
                json!([{"op": "not", "value": {"field": "a", "op": "x", "value": 1}}]),
                "filters[0].value: unknown operator",
            ),
            (json!([{"field": "_updateTime", "op": "eq", "value": 1}]), "_updateTime"),
            (json!([{"field": "", "op": "eq", "value": 1}]), "must not be empty"),
            (json!([{"field": "a", "op": "eq", "value": {"$oid": 1}}]), "$oid"),
        ] {
            let error = filters(value.clone()).unwrap_err();
            assert!(error.message_text().contains(needle), "{value}: {}", error.message_text());
        }
        let many = vec![json!({"field": "a", "op": "eq", "value": 1}); limits::FILTER_CLAUSES + 1];
        assert!(parse_filters(many).is_err());
    }

    #[test]
    fn orders_have_three_forms() {
        let key = |path: &str, descending| SortKey { path: path.into(), descending };
        assert_eq!(parse_order(json!("a")).unwrap(), [key("a", false)]);
        assert_eq!(parse_order(json!({"field": "a", "direction": "desc"})).unwrap(), [key("a", true)]);
        let two = parse_order(json!(["a", {"field": "b", "direction": "asc"}])).unwrap();
        assert_eq!(two, [key("a", false), key("b", false)]);
        for bad in [
            json!(1),
            json!([[]]),
            json!({"field": "a", "direction": "up"}),
            json!({"direction": "asc"}),
            json!({"field": "a", "by": 1}),
        ] {
            parse_order(bad).unwrap_err();
        }
    }
}
