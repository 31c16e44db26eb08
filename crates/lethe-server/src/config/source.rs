//! Where each value was written: the file, the default doors and the overrides become one document
//! whose every byte has a place, so that one kind of error serves them all.

use core::fmt;
use core::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::door::FIELDS as DOOR_FIELDS;
use super::{ConfigError, OVERRIDES_MAX, Place};

/// A value that cannot be used, and the bytes of the document that it came from.
#[derive(Debug)]
pub(super) struct Invalid {
    span: Option<Range<usize>>,
    why: String,
}

impl Invalid {
    /// `at` is wrong because of `why`.
    pub(super) fn new<T>(at: &Spanned<T>, why: impl fmt::Display) -> Self {
        Self { span: Some(at.span()), why: why.to_string() }
    }
}

impl From<toml::de::Error> for Invalid {
    fn from(error: toml::de::Error) -> Self {
        Self { span: error.span(), why: error.message().to_owned() }
    }
}

/// All texts of one configuration, each at its own offset of one imagined document.
#[derive(Debug)]
pub(super) struct Document {
    file: Option<Part>,
    default_doors: Part,
    overrides: Vec<Override>,
}

/// One text. Blanks stand before it, so that the parser counts from the start of the document.
#[derive(Debug)]
struct Part {
    place: Place,
    padded: String,
    start: usize,
}

/// One `path=value` of the command line.
#[derive(Debug)]
struct Override {
    part: Part,
    path: Vec<String>,
    /// Bytes of the value within `part.padded`.
    value: Range<usize>,
}

impl Document {
    /// Puts the texts one after the other; the values are not looked at yet.
    pub(super) fn new(
        file: Option<(&Path, &str)>,
        default_doors: &str,
        overrides: &[String],
    ) -> Result<Self, ConfigError> {
        if overrides.len() > OVERRIDES_MAX {
            let why = format!("at most {OVERRIDES_MAX} of them");
            return Err(ConfigError::Argument { argument: "--set".to_owned(), why });
        }
        let file = file.map(|(path, text)| {
            let place = Place::File { path: path.to_owned(), line: 1, column: 1 };
            Part::new(place, 0, text)
        });
        let mut end = file.as_ref().map_or(0, Part::end);
        let default_doors = Part::new(Place::Defaults, end, default_doors);
        end = default_doors.end();
        let mut parsed = Vec::with_capacity(overrides.len());
        for text in overrides {
            let next = Override::new(end, text)?;
            end = next.part.end();
            parsed.push(next);
        }
        Ok(Self { file, default_doors, overrides: parsed })
    }

    /// The document as a `T`, and its table for [`Document::error`].
    pub(super) fn parse<T: DeserializeOwned>(
        &self,
    ) -> Result<(T, Spanned<DeTable<'_>>), ConfigError> {
        let mut table = match &self.file {
            Some(part) => self.parse_part(part)?,
            None => Spanned::new(0..0, DeTable::new()),
        };
        if table.get_ref().get("door").is_none() {
            let defaults = self.parse_part(&self.default_doors)?;
            table.get_mut().extend(defaults.into_inner());
        }
        for one in &self.overrides {
            let refused = |why| ConfigError::Argument { argument: one.argument(), why };
            one.apply(table.get_mut()).map_err(refused)?;
        }
        match T::deserialize(Deserializer::from(table.clone())) {
            Ok(value) => Ok((value, table)),
            Err(error) => Err(self.error(&table, &error.into())),
        }
    }

    /// What a person is told about `invalid`.
    pub(super) fn error(&self, table: &Spanned<DeTable<'_>>, invalid: &Invalid) -> ConfigError {
        let offset = invalid.span.as_ref().map_or(0, |span| span.start);
        let mut field = String::new();
        field_at(table.get_ref(), offset, &mut field);
        ConfigError::Invalid { place: self.place(offset), field, why: invalid.why.clone() }
    }

    fn parse_part<'a>(&self, part: &'a Part) -> Result<Spanned<DeTable<'a>>, ConfigError> {
        DeTable::parse(&part.padded).map_err(|error| {
            let nothing = Spanned::new(0..0, DeTable::new());
            self.error(&nothing, &error.into())
        })
    }

    fn place(&self, offset: usize) -> Place {
        if let Some(one) = self.overrides.iter().rev().find(|one| one.part.start <= offset) {
            return one.part.place.clone();
        }
        match &self.file {
            Some(part) if offset < self.default_doors.start => part.place_in_file(offset),
            Some(_) | None => self.default_doors.place.clone(),
        }
    }
}

impl Part {
    fn new(place: Place, start: usize, text: &str) -> Self {
        Self { place, start, padded: " ".repeat(start) + text }
    }

    /// Where the next part can start: far enough for the `v = ` that is put before a value.
    fn end(&self) -> usize {
        self.padded.len() + VALUE_KEY.len()
    }

    fn place_in_file(&self, offset: usize) -> Place {
        let before = self.padded.get(..offset).unwrap_or(&self.padded);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].chars().count() + 1;
        let line = before.matches('\n').count() + 1;
        match &self.place {
            Place::File { path, .. } => Place::File { path: path.clone(), line, column },
            other @ (Place::Defaults | Place::Override(_)) => other.clone(),
        }
    }
}

const VALUE_KEY: &str = "v = ";

impl Override {
    fn new(start: usize, text: &str) -> Result<Self, ConfigError> {
        let refused = |why: &str| {
            // Control characters would reach the operator's terminal.
            let printable = text.replace(char::is_control, "\u{fffd}");
            let argument = format!("--set {printable}");
            Err(ConfigError::Argument { argument, why: why.to_owned() })
        };
        let Some((path, value)) = text.split_once('=') else {
            return refused("a setting is `name=value`, as in `log.origin=keys.example`");
        };
        if text.chars().any(char::is_control) {
            return refused("a setting has no control characters");
        }
        let bare = |key: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            !key.is_empty() && key.bytes().all(allowed)
        };
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if !path.iter().all(|key| bare(key)) {
            return refused("a name is words of `a-z A-Z 0-9 _ -` with dots between");
        }
        // `v = value`, so that the value stands where it stood in the override's own text.
        let value_start = start + text.len() - value.len();
        let key_start = value_start - VALUE_KEY.len().min(value_start);
        let place = Place::Override(text.to_owned());
        let padded = " ".repeat(key_start) + VALUE_KEY + value;
        let value = padded.len() - value.len()..padded.len();
        Ok(Self { part: Part { place, padded, start }, path, value })
    }

    fn argument(&self) -> String {
        self.part.place.to_string()
    }

    fn apply<'a>(&'a self, table: &mut DeTable<'a>) -> Result<(), String> {
        let value = self.value()?;
        let at = self.part.start..self.value.start;
        match self.path.split_first() {
            Some((first, rest)) if first == "door" => {
                let Some((dialect, field)) = rest.split_first() else {
                    return Err("name the door, as in `door.native.listen=…`".to_owned());
                };
                let door = find_door(table, dialect)?;
                match field.first() {
                    None => Err(format!("name the field, as in `door.{dialect}.listen=…`")),
                    Some(name) if DOOR_FIELDS.contains(&name.as_str()) => {
                        insert(door, field, &at, value)
                    }
                    // What no door knows is a setting of this one, which checks it.
                    Some(_) => insert(child(door, "settings", &at)?, field, &at, value),
                }
            }
            Some(_) | None => insert(table, &self.path, &at, value),
        }
    }

    fn value(&self) -> Result<Spanned<DeValue<'_>>, String> {
        let text = &self.part.padded[self.value.clone()];
        match DeTable::parse(&self.part.padded) {
            Ok(table) => {
                let (_, value) =
                    table.into_inner().into_iter().next().ok_or("there is no value")?;
                Ok(value)
            }
            Err(error) if text.starts_with(['"', '\'', '[', '{']) => {
                Err(format!("the value is not TOML: {}", error.message()))
            }
            Err(_) => Ok(Spanned::new(self.value.clone(), DeValue::String(text.into()))),
        }
    }
}

/// Puts `value` at `path` below `table`.
fn insert<'a>(
    mut table: &mut DeTable<'a>,
    path: &'a [String],
    at: &Range<usize>,
    value: Spanned<DeValue<'a>>,
) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    for key in parents {
        table = child(table, key, at)?;
    }
    // Removed first: a key that stays would keep the place of the value that is overridden.
    table.remove(last.as_str());
    table.insert(Spanned::new(at.clone(), last.as_str().into()), value);
    Ok(())
}

/// The table at `key` of `table`, made if there is none.
fn child<'t, 'a>(
    table: &'t mut DeTable<'a>,
    key: &'a str,
    at: &Range<usize>,
) -> Result<&'t mut DeTable<'a>, String> {
    let entry = table
        .entry(Spanned::new(at.clone(), key.into()))
        .or_insert_with(|| Spanned::new(at.clone(), DeValue::Table(DeTable::new())));
    let kind = entry.get_ref().type_str();
    table_mut(entry.get_mut()).ok_or_else(|| format!("`{key}` is a {kind}, not a table"))
}

fn table_mut<'t, 'a>(value: &'t mut DeValue<'a>) -> Option<&'t mut DeTable<'a>> {
    if let DeValue::Table(table) = value { Some(table) } else { None }
}

fn array_mut<'t, 'a>(value: &'t mut DeValue<'a>) -> Option<&'t mut DeArray<'a>> {
    if let DeValue::Array(items) = value { Some(items) } else { None }
}

fn find_door<'t, 'a>(
    table: &'t mut DeTable<'a>,
    dialect: &str,
) -> Result<&'t mut DeTable<'a>, String> {
    let doors = table.get_mut("door").and_then(|doors| array_mut(doors.get_mut()));
    let speaks = |door: &DeTable<'_>| {
        door.get("dialect").and_then(|value| value.get_ref().as_str()) == Some(dialect)
    };
    let mut found = doors
        .into_iter()
        .flat_map(|doors| doors.iter_mut())
        .filter_map(|door| table_mut(door.get_mut()))
        .filter(|door| speaks(door));
    match (found.next(), found.next()) {
        (Some(door), None) => Ok(door),
        (None, _) => Err(format!("there is no door of dialect `{dialect}`")),
        (Some(_), Some(_)) => {
            Err(format!("there is more than one door of dialect `{dialect}`; use the file"))
        }
    }
}

/// Appends the dotted name of the field whose key or value holds `offset`; false if there is none.
fn field_at(table: &DeTable<'_>, offset: usize, name: &mut String) -> bool {
    // An empty value has an empty span, which holds nothing but its own start.
    let holds = |span: Range<usize>| span.start == offset || span.contains(&offset);
    let mut own = None;
    for (key, value) in table {
        let length = name.len();
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(key.get_ref());
        if field_in(value.get_ref(), offset, name) {
            return true;
        }
        if holds(key.span()) || holds(value.span()) {
            own = Some(name.clone());
        }
        name.truncate(length);
    }
    let found = own.is_some();
    if let Some(own) = own {
        *name = own;
    }
    found
}

fn field_in(value: &DeValue<'_>, offset: usize, name: &mut String) -> bool {
    match value {
        DeValue::Table(table) => field_at(table, offset, name),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let length = name.len();
                let dialect = item.get_ref().get("dialect").and_then(|at| at.get_ref().as_str());
                match dialect {
                    Some(dialect) => name.push_str(&format!(".{dialect}")),
                    None => name.push_str(&format!("[{index}]")),
                }
                if field_in(item.get_ref(), offset, name) || item.span().contains(&offset) {
                    return true;
                }
                name.truncate(length);
            }
            false
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => false,
    }
}
