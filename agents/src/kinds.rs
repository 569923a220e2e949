//! Parts of a config that come in kinds: agents, shapings, rewards, value regularisers.
//!
//! A kind is a name, a struct of settings that serde reads, and what the settings build. Kinds of this
//! crate and of others are registered in the same table ([`Kinds`]); the config's schema, its errors
//! and its defaults follow from there.

use std::{
    any::Any,
    borrow::Cow,
    fmt::Debug,
    ops::{Deref, DerefMut},
    sync::{Arc, PoisonError, RwLock},
};

use dyn_clone::DynClone;
use garde::Validate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned, ser};
use serde_json::{Map, Value, json};

use crate::AgentError;

/// The key of a kind's name.
const KIND: &str = "kind";

/// Settings of a kind. Every struct that can be copied, written and checked has this.
pub trait Settings: DynClone + Debug + Send + Sync {
    /// The settings as JSON.
    fn to_json(&self) -> Result<Value, serde_json::Error>;

    /// Adds what garde finds wrong to `report`.
    fn check(&self, parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report);

    /// The settings, to be recognised by their type.
    fn as_any(&self) -> &dyn Any;
}

impl<T> Settings for T
where
    T: Clone + Debug + Send + Sync + Serialize + Validate<Context = ()> + 'static,
{
    fn to_json(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn check(&self, parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        self.validate_into(&(), parent, report);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A part of a config, as the trait object of its kinds' settings: `dyn ShapingKind`.
pub trait Part: Settings + 'static {
    /// The type's name in the JSON Schema.
    const SCHEMA: &'static str;
    /// The part in words, for errors: "shaping".
    const WORD: &'static str;
    /// Its description in the JSON Schema.
    const DOC: &'static str;

    /// The table of its kinds.
    fn kinds() -> &'static Kinds<Self>;
}

/// Makes a part of a trait: its names in the schema and in errors, its description, and the table of its
/// kinds, each a name with its settings.
macro_rules! part {
    ($kind:ident, $schema:literal, $word:literal, $doc:literal, { $($name:literal: $settings:ty,)* }) => {
        impl dyn $kind {
            #[doc = concat!("The kind of ", $word, " with settings `T`, by the name that configs give it.")]
            pub fn kind<T: $kind + serde::de::DeserializeOwned + schemars::JsonSchema + 'static>(
                name: &'static str,
            ) -> $crate::kinds::Kind<Self> {
                $crate::kinds::Kind::new::<T>(name, |settings| Box::new(settings))
            }
        }

        impl $crate::kinds::Part for dyn $kind {
            const SCHEMA: &'static str = $schema;
            const WORD: &'static str = $word;
            const DOC: &'static str = $doc;

            fn kinds() -> &'static $crate::kinds::Kinds<Self> {
                static KINDS: std::sync::LazyLock<$crate::kinds::Kinds<dyn $kind>> =
                    std::sync::LazyLock::new(|| $crate::kinds::Kinds::new([$(<dyn $kind>::kind::<$settings>($name)),*]));
                &KINDS
            }
        }
    };
}
pub(crate) use part;

/// Makes an object of settings that were read.
type Read<P> = Box<dyn Fn(Value) -> Result<Box<P>, serde_json::Error> + Send + Sync>;

/// A kind of a part.
pub struct Kind<P: ?Sized> {
    name: &'static str,
    read: Read<P>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl<P: ?Sized + 'static> Kind<P> {
    /// The kind of this name with settings `T`; their doc comment describes it.
    pub fn new<T: DeserializeOwned + JsonSchema + 'static>(name: &'static str, boxed: fn(T) -> Box<P>) -> Self {
        Self { name, read: Box::new(move |value| Ok(boxed(serde_json::from_value(value)?))), schema: T::json_schema }
    }

    /// The settings' schema with `kind` before them.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        let mut schema = (self.schema)(generator);
        let object = schema.ensure_object();
        let mut properties = Map::from_iter([(KIND.to_owned(), json!({ "type": "string", "const": self.name }))]);
        if let Some(Value::Object(own)) = object.remove("properties") {
            properties.extend(own);
        }
        let mut required = vec![json!(KIND)];
        if let Some(Value::Array(own)) = object.remove("required") {
            required.extend(own);
        }
        object.insert("type".to_owned(), json!("object"));
        object.insert("properties".to_owned(), Value::Object(properties));
        object.insert("required".to_owned(), Value::Array(required));
        schema
    }
}

/// The kinds of a part, by name, in the order of registration.
pub struct Kinds<P: ?Sized>(RwLock<Vec<Arc<Kind<P>>>>);

impl<P: Part + ?Sized> Kinds<P> {
    /// A table of these kinds.
    pub fn new(kinds: impl IntoIterator<Item = Kind<P>>) -> Self {
        Self(RwLock::new(kinds.into_iter().map(Arc::new).collect()))
    }

    /// Adds a kind.
    ///
    /// # Errors
    /// [`AgentError::BadConfig`] if there is one of that name.
    pub fn register(&self, kind: Kind<P>) -> Result<(), AgentError> {
        let mut kinds = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kinds.iter().any(|known| known.name == kind.name) {
            let problem = format!("there is a {} of this name already; choose another", P::WORD);
            return Err(AgentError::BadConfig { setting: kind.name.to_owned(), problem });
        }
        kinds.push(Arc::new(kind));
        Ok(())
    }

    fn all(&self) -> Vec<Arc<Kind<P>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A part of a config of one of its kinds: `{kind: NAME, …}`.
#[derive(Debug)]
pub struct Choice<P: ?Sized> {
    kind: &'static str,
    settings: Box<P>,
}

impl<P: Part + ?Sized> Choice<P> {
    /// The kind `name` with these settings.
    pub fn new(name: &'static str, settings: Box<P>) -> Self {
        Self { kind: name, settings }
    }

    /// The kind's name.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The settings, if they are of this type.
    pub fn settings<T: 'static>(&self) -> Option<&T> {
        self.settings.as_any().downcast_ref()
    }
}

impl<P: ?Sized> Deref for Choice<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.settings
    }
}

impl<P: ?Sized> DerefMut for Choice<P> {
    fn deref_mut(&mut self) -> &mut P {
        &mut self.settings
    }
}

impl<P: Settings + ?Sized> Clone for Choice<P> {
    fn clone(&self) -> Self {
        Self { kind: self.kind, settings: dyn_clone::clone_box(&*self.settings) }
    }
}

impl<P: Settings + ?Sized> PartialEq for Choice<P> {
    fn eq(&self, other: &Self) -> bool {
        let same =
            |a: Result<Value, _>, b: Result<Value, serde_json::Error>| matches!((a, b), (Ok(a), Ok(b)) if a == b);
        self.kind == other.kind && same(self.settings.to_json(), other.settings.to_json())
    }
}

impl<P: Part + ?Sized> Validate for Choice<P> {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        self.settings.check(parent, report);
    }
}

impl<P: Settings + ?Sized> Serialize for Choice<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = self.settings.to_json().map_err(ser::Error::custom)?;
        let kind = Value::from(self.kind);
        let keys = settings.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value));
        serializer.collect_map([(KIND, &kind)].into_iter().chain(keys))
    }
}

impl<'de, P: Part + ?Sized> Deserialize<'de> for Choice<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = Map::deserialize(deserializer)?;
        let Some(Value::String(name)) = keys.shift_remove(KIND) else { return Err(de::Error::missing_field(KIND)) };
        let kinds = P::kinds().all();
        let Some(kind) = kinds.iter().find(|kind| kind.name == name) else {
            let known: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
            return Err(de::Error::custom(format!("no {} `{name}`, expected one of {}", P::WORD, known.join(", "))));
        };
        let settings = (kind.read)(Value::Object(keys)).map_err(de::Error::custom)?;
        Ok(Self { kind: kind.name, settings })
    }
}

impl<P: Part + ?Sized> JsonSchema for Choice<P> {
    fn schema_name() -> Cow<'static, str> {
        P::SCHEMA.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Schema> = P::kinds().all().iter().map(|kind| kind.schema(generator)).collect();
        json_schema!({ "description": P::DOC, "oneOf": kinds })
    }
}
