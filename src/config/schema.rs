//! JSON Schemas, for editors and for the check before a run.

use schemars::JsonSchema;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of a type, under a title.
pub(crate) fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), title.into());
    }
    join_lines(&mut schema);
    schema
}

/// Joins the lines of each paragraph in the descriptions, which break where the source's comments
/// do.
fn join_lines(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(text)) = map.get_mut("description") {
                *text = text.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
            }
            map.values_mut().for_each(join_lines);
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        _ => {}
    }
}
