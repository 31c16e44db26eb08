//! EIP-712: the hash of structured data. The types name the structures, and the one that no other
//! refers to is the one that is signed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Refused;
use super::fields::{hex_of, object};
use super::kinds::keccak;
use super::number::{Number, WORD_BYTES};

/// Deepest nesting of structures and arrays in one another.
const DEPTH_MAX: usize = 32;
/// Most structures of one request: each is hashed with all that it refers to.
const STRUCTURES_MAX: usize = 64;
/// Bytes of an address.
const ADDRESS_BYTES: usize = 20;
/// The structure of the domain, which the types may name.
const DOMAIN: &str = "EIP712Domain";
/// Fields of the domain, in the order of its type.
const DOMAIN_FIELDS: [(&str, &str); 5] = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
];

type Word = [u8; WORD_BYTES];

/// The hash that is signed for a body with `types`, `domain` and `message`.
pub(super) fn digest(body: &Map<String, Value>) -> Result<Word, Refused> {
    let types = Types::read(object(body, "types")?)?;
    let domain = types.domain(object(body, "domain")?)?;
    let message = types.hash(types.primary, object(body, "message")?, DEPTH_MAX);
    let message = message.map_err(|why| Refused::field("message", &why))?;
    Ok(keccak(&[b"\x19\x01", &domain, &message]))
}

/// A member of a structure: its name and its type.
struct Member<'a> {
    name: &'a str,
    type_text: &'a str,
    of: Type<'a>,
}

/// What a member is.
#[derive(Clone, Debug)]
enum Type<'a> {
    Address,
    Bool,
    Bytes,
    /// So many bytes.
    FixedBytes(usize),
    /// So many bits.
    Unsigned(usize),
    Signed(usize),
    String,
    Struct(&'a str),
    /// As many as that, or any number.
    Array(Box<Type<'a>>, Option<usize>),
}

struct Types<'a> {
    structs: BTreeMap<&'a str, Vec<Member<'a>>>,
    primary: &'a str,
    /// `typeHash` of each.
    hashes: BTreeMap<&'a str, Word>,
}

impl<'a> Types<'a> {
    fn read(given: &'a Map<String, Value>) -> Result<Self, Refused> {
        let refused = |why: &str| Refused::field("types", why);
        if given.len() > STRUCTURES_MAX {
            return Err(refused(&format!("has more than {STRUCTURES_MAX} structures")));
        }
        let mut structs = BTreeMap::new();
        for (name, members) in given {
            if !is_name(name) || basic(name).is_some() {
                return Err(refused(&format!("has a structure with the name \"{name}\"")));
            }
            let members = members.as_array().ok_or_else(|| refused("must hold lists"))?;
            let read = members.iter().map(|member| member_of(member, given));
            let read = read.collect::<Option<Vec<_>>>();
            let read = read.ok_or_else(|| {
                refused(&format!("has a member of \"{name}\" that has no name or no known type"))
            })?;
            let names: BTreeSet<_> = read.iter().map(|member| member.name).collect();
            if names.len() != read.len() {
                return Err(refused(&format!("has a member of \"{name}\" twice")));
            }
            structs.insert(name.as_str(), read);
        }
        let used = structs.keys().map(|name| (*name, uses(&structs, name)));
        let used: BTreeMap<&str, BTreeSet<&str>> = used.collect();
        if used.iter().any(|(name, others)| others.contains(name)) {
            return Err(refused("has a structure that holds itself"));
        }
        let is_referred_to = |name: &str| used.values().any(|others| others.contains(name));
        let mut roots = structs.keys().filter(|name| **name != DOMAIN && !is_referred_to(name));
        let (Some(primary), None) = (roots.next(), roots.next()) else {
            return Err(refused("must have one structure to which no other refers"));
        };
        let primary = *primary;
        let hashes = used.iter().map(|(name, others)| {
            let all = core::iter::once(*name).chain(others.iter().copied());
            (*name, keccak(&[encode_type(&structs, all).as_bytes()]))
        });
        let hashes = hashes.collect();
        Ok(Self { structs, primary, hashes })
    }

    /// `hashStruct`.
    fn hash(&self, name: &str, value: &Map<String, Value>, depth: usize) -> Result<Word, String> {
        let members = self.structs.get(name).ok_or("is of no known type")?;
        if let Some(extra) =
            value.keys().find(|key| members.iter().all(|member| member.name != key.as_str()))
        {
            return Err(format!("has a member \"{extra}\" that is not in {name}"));
        }
        let mut encoded = self.hashes.get(name).ok_or("is of no known type")?.to_vec();
        for member in members {
            let label = member.name;
            let found = value.get(label).ok_or_else(|| format!("has no {name}.{label}"))?;
            let word = self.word(&member.of, found, depth);
            let word = word.map_err(|why| why.at(name, label))?;
            encoded.extend_from_slice(&word);
        }
        Ok(keccak(&[&encoded]))
    }

    /// `encodeData` of one value.
    fn word(&self, of: &Type<'_>, value: &Value, depth: usize) -> Result<Word, Unfit> {
        let unfit = Unfit::Here;
        let word = match (of, value) {
            (Type::Bool, Value::Bool(truth)) => Some(last_byte(u8::from(*truth))),
            (Type::String, Value::String(text)) => Some(keccak(&[text.as_bytes()])),
            (Type::Bytes, Value::String(text)) => prefixed(text).map(|bytes| keccak(&[&bytes])),
            (Type::FixedBytes(length), Value::String(text)) => {
                let bytes = prefixed(text).filter(|bytes| bytes.len() == *length);
                bytes.map(|bytes| padded(&bytes, Side::After))
            }
            (Type::Address, Value::String(text)) => {
                let bytes = prefixed(text).filter(|bytes| bytes.len() == ADDRESS_BYTES);
                bytes.map(|bytes| padded(&bytes, Side::Before))
            }
            (Type::Unsigned(bits), value) => {
                Number::of(value).and_then(|number| number.unsigned(*bits))
            }
            (Type::Signed(bits), value) => {
                Number::of(value).and_then(|number| number.signed(*bits))
            }
            (Type::Struct(name), Value::Object(inner)) => {
                let depth = depth.checked_sub(1).ok_or(unfit)?;
                return self.hash(name, inner, depth).map_err(Unfit::Inside);
            }
            (Type::Array(of, length), Value::Array(items)) => {
                if length.is_some_and(|length| items.len() != length) {
                    return Err(unfit);
                }
                let depth = depth.checked_sub(1).ok_or(unfit)?;
                let words = items.iter().map(|item| self.word(of, item, depth));
                let words = words.collect::<Result<Vec<_>, _>>()?.concat();
                Some(keccak(&[&words]))
            }
            _ => None,
        };
        word.ok_or(Unfit::Here)
    }

    /// The hash of the domain: of the fields that it has, or of those that the types name.
    fn domain(&self, domain: &Map<String, Value>) -> Result<Word, Refused> {
        let refused = |why: &str| Refused::field("domain", why);
        let is_known = |name: &str| DOMAIN_FIELDS.iter().any(|(known, _)| *known == name);
        if let Some(unknown) = domain.keys().find(|name| !is_known(name)) {
            return Err(refused(&format!("has a field \"{unknown}\" that no domain has")));
        }
        let zero = |value: &Value| Number::of(value).is_some_and(|it| it.unsigned(0).is_some());
        if domain.get("chainId").is_some_and(|chain| chain.is_number() && zero(chain)) {
            return Err(refused("has the chain 0"));
        }
        if let Some(named) = self.structs.get(DOMAIN) {
            let is_domain =
                named.iter().all(|member| DOMAIN_FIELDS.contains(&(member.name, member.type_text)));
            if !is_domain {
                return Err(Refused::field("types", "names fields that no domain has"));
            }
            let hash = self.hash(DOMAIN, domain, DEPTH_MAX);
            return hash.map_err(|why| refused(&why));
        }
        let there = DOMAIN_FIELDS.iter().filter(|(name, _)| domain.contains_key(*name));
        let members = there
            .map(|&(name, type_text)| basic(type_text).map(|of| Member { name, type_text, of }));
        let members = members.collect::<Option<Vec<_>>>().unwrap_or_default();
        let structs = BTreeMap::from([(DOMAIN, members)]);
        let hash = keccak(&[encode_type(&structs, [DOMAIN]).as_bytes()]);
        let own = Types { structs, primary: DOMAIN, hashes: BTreeMap::from([(DOMAIN, hash)]) };
        own.hash(DOMAIN, domain, DEPTH_MAX).map_err(|why| refused(&why))
    }
}

/// `encodeType`: a structure and, sorted by name, those that it refers to.
fn encode_type<'a>(
    structs: &BTreeMap<&'a str, Vec<Member<'a>>>,
    names: impl IntoIterator<Item = &'a str>,
) -> String {
    let one = |name: &str| {
        let members = structs.get(name).into_iter().flatten();
        let members = members.map(|member| format!("{} {}", member.type_text, member.name));
        format!("{name}({})", members.collect::<Vec<_>>().join(","))
    };
    names.into_iter().map(one).collect()
}

/// Where a value does not fit its type.
enum Unfit {
    Here,
    /// Told by a structure inside.
    Inside(String),
}

impl Unfit {
    fn at(self, structure: &str, member: &str) -> String {
        match self {
            Self::Here => format!("has a {structure}.{member} that is not of its type"),
            Self::Inside(why) => why,
        }
    }
}

fn member_of<'a>(given: &'a Value, types: &'a Map<String, Value>) -> Option<Member<'a>> {
    let members = given.as_object().filter(|members| members.len() == 2)?;
    let name = members.get("name")?.as_str().filter(|name| is_name(name))?;
    let type_text = members.get("type")?.as_str()?;
    Some(Member { name, type_text, of: type_of(type_text, types, DEPTH_MAX)? })
}

fn type_of<'a>(text: &'a str, types: &'a Map<String, Value>, depth: usize) -> Option<Type<'a>> {
    if let Some(inner) = text.strip_suffix(']') {
        let (of, length) = inner.rsplit_once('[')?;
        let length = match length {
            "" => None,
            digits => Some(decimal(digits)?),
        };
        let of = type_of(of, types, depth.checked_sub(1)?)?;
        return Some(Type::Array(Box::new(of), length));
    }
    basic(text).or_else(|| types.contains_key(text).then_some(Type::Struct(text)))
}

fn basic(text: &str) -> Option<Type<'static>> {
    let bits = |digits: &str| match digits {
        "" => Some(256),
        digits => decimal(digits).filter(|bits| bits % 8 == 0 && (8..=256).contains(bits)),
    };
    match text {
        "address" => Some(Type::Address),
        "bool" => Some(Type::Bool),
        "bytes" => Some(Type::Bytes),
        "string" => Some(Type::String),
        _ => {
            if let Some(digits) = text.strip_prefix("bytes") {
                let length = decimal(digits).filter(|length| (1..=32).contains(length));
                return length.map(Type::FixedBytes);
            }
            if let Some(digits) = text.strip_prefix("uint") {
                return bits(digits).map(Type::Unsigned);
            }
            text.strip_prefix("int").and_then(bits).map(Type::Signed)
        }
    }
}

/// Digits without a zero in front.
fn decimal(digits: &str) -> Option<usize> {
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_number)
}

/// An identifier of Solidity.
fn is_name(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$';
    let mut bytes = text.bytes();
    bytes.next().is_some_and(is_letter)
        && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// The structures that are reached from `name`.
fn uses<'a>(structs: &BTreeMap<&'a str, Vec<Member<'a>>>, name: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![name];
    while let Some(next) = open.pop() {
        for member in structs.get(next).into_iter().flatten() {
            let mut of = &member.of;
            while let Type::Array(inner, _) = of {
                of = inner;
            }
            if let Type::Struct(other) = of
                && found.insert(*other)
            {
                open.push(*other);
            }
        }
    }
    found
}

/// Bytes after `0x`.
fn prefixed(text: &str) -> Option<Vec<u8>> {
    text.starts_with("0x").then(|| hex_of(text))?
}

enum Side {
    Before,
    After,
}

/// At most a word, with zeros on one side.
fn padded(bytes: &[u8], zeros: Side) -> Word {
    let mut word = [0; WORD_BYTES];
    let start = match zeros {
        Side::Before => WORD_BYTES - bytes.len(),
        Side::After => 0,
    };
    word.iter_mut().skip(start).zip(bytes).for_each(|(to, from)| *to = *from);
    word
}

fn last_byte(byte: u8) -> Word {
    padded(&[byte], Side::Before)
}
