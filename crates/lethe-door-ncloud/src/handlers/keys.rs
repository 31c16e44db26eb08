//! Make, list and describe keys.

use core::time::Duration;

use lethe_engine::record::{Alias, KeyRecord};
use lethe_engine::{CreateKeyRequest, KeyChange, KeyEntry};
use lethe_http::{Reply, Request, Response, block_on};
use lethe_types::{KeyName, Permission};
use serde::{Deserialize, Serialize};

use super::{Paging, Query};
use crate::auth::{self, Account, Presented};
use crate::error::Refusal;
use crate::journal::{Record, Source};
use crate::kept::{self, KeyType, Status};
use crate::route::Ask;
use crate::state::State;
use crate::visit::{Planned, Who, refused_in_trail, visit};
use crate::{DOOR, body, ids, render};

const NAME_BYTES_MIN: usize = 3;
const NAME_BYTES_MAX: usize = 15;
const MEMO_CHARACTERS_MAX: usize = 100;
/// Most days between automatic rotations.
pub(super) const ROTATION_DAYS_MAX: u32 = 730;

/// The account that asks, where no key is named.
fn account(ask: &Ask) -> Result<Account, Refusal> {
    let head = &ask.request.head;
    match auth::presented(head) {
        Presented::Signature => auth::account(&ask.state, head),
        Presented::Nothing => Err(auth::nobody(&ask.state, head)),
        Presented::Token(_) => refused_in_trail(&ask.state, head, Err(Refusal::TokenRefused)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Create<'a> {
    #[serde(borrow)]
    key_name: body::Text<'a>,
    #[serde(borrow)]
    key_type: body::Text<'a>,
    #[serde(borrow)]
    memo: Option<body::Text<'a>>,
    is_convergent: Option<bool>,
    is_auto_rotation: Option<bool>,
    rotation_period: Option<u32>,
    #[serde(borrow)]
    protection_type: Option<body::Text<'a>>,
}

/// What a new key is to be.
struct Wanted {
    name: KeyName,
    key_type: KeyType,
    memo: String,
    is_auto_rotation: bool,
    rotation_days: u32,
    is_hsm: bool,
}

pub(crate) fn create(ask: Ask) -> Result<Reply, Refusal> {
    let account = account(&ask)?;
    let wanted = parse_create(&ask.request)?;
    let is_slow = wanted.key_type.algorithm().is_slow_to_generate();
    let answer = async move { create_now(&ask, &account, wanted).await };
    Ok(if is_slow {
        // Detached like every change: the pool runs it to its end.
        Reply::blocking(move || block_on(answer))
    } else {
        Reply::pending(answer)
    })
}

async fn create_now(ask: &Ask, account: &Account, wanted: Wanted) -> Response {
    match make(&ask.state, account, wanted).await {
        Ok(entry) => {
            let record = entry.record();
            ask.state.journal.tell(Record {
                at: ask.state.clock.now().0,
                tag: kept::tag(record).unwrap_or_default().to_owned(),
                source: Source::Account,
                id: account.access_key.clone(),
                address: ask.request.head.peer.ip().to_canonical().to_string(),
                title: ask.title.unwrap_or_default().into(),
                is_use: false,
                refused: None,
            });
            render::data(&ask.request.head, &Info::of(&ask.state, record).of_new_key())
        }
        Err(refusal) => refusal.into_response(&ask.request.head),
    }
}

async fn make(
    state: &State,
    account: &Account,
    wanted: Wanted,
) -> Result<std::sync::Arc<KeyEntry>, Refusal> {
    let engine = &state.engine;
    let number = state.numbers.next(engine, state.realm).await?;
    let keystore_id = state.settings.keystore_id;
    let tag = ids::new_tag(&*state.entropy, keystore_id, wanted.name.as_str())?;
    let request = CreateKeyRequest {
        vault: Some(state.keystore),
        aliases: vec![Alias { door: DOOR.to_owned(), text: tag, reserved: true }],
        attributes: kept::of_new_key(number, &wanted.memo, wanted.is_hsm, wanted.rotation_days),
        rotation_period: wanted.is_auto_rotation.then(|| days(wanted.rotation_days)),
        // A disabled key follows its rhythm too.
        rotates_suspended: true,
        ..CreateKeyRequest::new(wanted.name, wanted.key_type.algorithm())
    };
    let prepared = engine.prepare_key(&account.caller, request)?;
    Ok(engine.create_key(&account.caller, prepared).await?)
}

fn parse_create(request: &Request) -> Result<Wanted, Refusal> {
    let wanted: Create<'_> = body::object(request)?;
    let is_convergent = wanted.is_convergent.unwrap_or(false);
    let key_type = KeyType::parse(wanted.key_type.as_str(), is_convergent);
    let is_auto_rotation = wanted.is_auto_rotation.unwrap_or(false);
    // Without automatic rotation it says nothing: some clients send what their users filled in.
    let rotation_days = wanted.rotation_period.filter(|_| is_auto_rotation);
    let is_hsm = match wanted.protection_type.as_ref().map(body::Text::as_str) {
        None | Some("BASIC") => false,
        Some("COMMON_HSM") => true,
        Some(_) => return Err(Refusal::BadInput("protectionType is BASIC or COMMON_HSM")),
    };
    Ok(Wanted {
        name: parse_name(&wanted.key_name)?,
        key_type: key_type.ok_or(Refusal::BadInput("keyType does not exist, or not convergent"))?,
        memo: wanted.memo.as_ref().map(parse_memo).transpose()?.unwrap_or_default(),
        is_auto_rotation,
        rotation_days: rotation_days
            .map(parse_rotation_days)
            .transpose()?
            .unwrap_or(kept::ROTATION_DAYS_DEFAULT),
        is_hsm,
    })
}

pub(super) fn parse_rotation_days(days: u32) -> Result<u32, Refusal> {
    let refused = Refusal::BadInput("rotationPeriod is from 1 to 730 days");
    if (1..=ROTATION_DAYS_MAX).contains(&days) { Ok(days) } else { Err(refused) }
}

/// So many days.
pub(super) fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

fn parse_name(text: &body::Text<'_>) -> Result<KeyName, Refusal> {
    let refused = "keyName has 3 to 15 letters, digits, - and _, a letter first";
    let text = text.as_str();
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_name = (NAME_BYTES_MIN..=NAME_BYTES_MAX).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(is_inner);
    let name = is_name.then(|| text.parse().ok()).flatten();
    name.ok_or(Refusal::BadInput(refused))
}

fn parse_memo(text: &body::Text<'_>) -> Result<String, Refusal> {
    let text = text.as_str();
    if text.chars().count() <= MEMO_CHARACTERS_MAX {
        Ok(text.to_owned())
    } else {
        Err(Refusal::BadInput("memo has at most 100 characters"))
    }
}

/// What is told of a key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info<'a> {
    key_id: u64,
    key_tag: &'a str,
    key_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nrn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<&'a str>,
    key_type: &'static str,
    status: &'static str,
    keystore_id: u32,
    current_version: u32,
    protection_type: &'static str,
    memo: &'a str,
    is_convergent: bool,
    is_auto_rotation: bool,
    rotation_period: u32,
    next_rotation_date: Option<u64>,
    register_date: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    destroy_date: Option<u64>,
}

impl<'a> Info<'a> {
    fn of(state: &'a State, record: &'a KeyRecord) -> Self {
        let key_type = KeyType::of(record.algorithm);
        Self {
            key_id: kept::number(record),
            key_tag: kept::tag(record).unwrap_or_default(),
            key_name: record.name.as_str(),
            nrn: Some(nrn(state, record)),
            base_url: Some(state.base_url()),
            key_type: key_type.map_or("", KeyType::as_str),
            status: Status::of(record.state).map_or("", Status::as_str),
            keystore_id: state.settings.keystore_id,
            current_version: kept::newest_version(record),
            protection_type: kept::protection(record),
            memo: kept::memo(record),
            is_convergent: key_type.is_some_and(KeyType::is_convergent),
            is_auto_rotation: kept::next_rotation(record).is_some(),
            rotation_period: kept::rotation_days(record),
            next_rotation_date: kept::next_rotation(record).map(|next| next.0),
            register_date: record.created.0,
            destroy_date: record.state.due().map(|due| due.0),
        }
    }

    fn of_new_key(self) -> Self {
        Self { nrn: None, base_url: None, ..self }
    }
}

/// The key's resource name.
pub(super) fn nrn(state: &State, record: &KeyRecord) -> String {
    let settings = &state.settings;
    let number = kept::number(record);
    format!("nrn:PUB:KMS:{}:{}:Key/{number}", settings.region, settings.account_no)
}

pub(crate) fn info(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.ready(|visit| {
        let entry = visit.state.engine.read_key(&visit.caller, visit.key())?;
        Ok(visit.data(&Info::of(&visit.state, entry.record())))
    })
}

/// On the pool for blocking work: a page may look at many keys.
pub(crate) fn list(ask: Ask) -> Result<Reply, Refusal> {
    let account = account(&ask)?;
    let paging = Paging::of(&Query::of(&ask.request.head)?)?;
    Ok(Reply::blocking(move || {
        let listed = list_now(&ask, &account, paging);
        listed.unwrap_or_else(|refusal| refusal.into_response(&ask.request.head))
    }))
}

fn list_now(ask: &Ask, account: &Account, paging: Paging) -> Result<Response, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        key_list: Vec<Listed<'a>>,
        current_page_no: usize,
        total_page_no: usize,
        total_count: usize,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Listed<'a> {
        key_id: u64,
        key_tag: &'a str,
        key_name: &'a str,
        key_type: &'static str,
        status: &'static str,
        protection_type: &'static str,
        is_convergent: bool,
        register_date: u64,
        destroy_date: Option<u64>,
    }
    let (state, caller) = (&ask.state, &account.caller);
    let mut page =
        state.engine.numbered_keys(caller, state.keystore, paging.skipped(), paging.size)?;
    // Numbers are given in the order in which keys are made, also within a millisecond.
    page.keys.sort_by_key(|entry| (entry.record().created, kept::number(entry.record())));
    let key_list = page.keys.iter().skip(page.before).take(paging.size);
    let key_list = key_list.filter_map(|entry| {
        let record = entry.record();
        let key_type = KeyType::of(record.algorithm)?;
        Some(Listed {
            key_id: kept::number(record),
            key_tag: kept::tag(record)?,
            key_name: record.name.as_str(),
            key_type: key_type.as_str(),
            status: Status::of(record.state)?.as_str(),
            protection_type: kept::protection(record),
            is_convergent: key_type.is_convergent(),
            register_date: record.created.0,
            destroy_date: record.state.due().map(|due| due.0),
        })
    });
    let answer = Page {
        key_list: key_list.collect(),
        current_page_no: paging.number,
        total_page_no: paging.pages(page.total),
        total_count: page.total,
    };
    Ok(render::data(&ask.request.head, &answer))
}

pub(crate) fn rename(ask: Ask) -> Result<Reply, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Rename<'a> {
        #[serde(borrow)]
        key_name: body::Text<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Renamed<'a> {
        key_tag: &'a str,
        key_name: &'a str,
    }
    visit(ask, Who::Account)?.pending(async |visit| {
        let name = parse_name(&body::object::<Rename<'_>>(&visit.request)?.key_name)?;
        let changed = visit.update(CHANGE, &UNTIL_REVOKED, |_| {
            let name = Some(name.clone());
            Ok(Planned::Key(KeyChange { name, ..KeyChange::default() }))
        });
        let changed = changed.await?;
        let key_name = changed.record().name.as_str();
        Ok(visit.data(&Renamed { key_tag: visit.tag(), key_name }))
    })
}

pub(crate) fn memo(ask: Ask) -> Result<Reply, Refusal> {
    #[derive(Deserialize)]
    struct Change<'a> {
        #[serde(borrow)]
        memo: body::Text<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Changed<'a> {
        key_tag: &'a str,
        memo: &'a str,
    }
    visit(ask, Who::Account)?.pending(async |visit| {
        let memo = parse_memo(&body::object::<Change<'_>>(&visit.request)?.memo)?;
        let changed = visit.update(CHANGE, &UNTIL_REVOKED, |_| {
            let value = (!memo.is_empty()).then(|| kept::bytes(&memo));
            let attributes = [(kept::MEMO.into(), value)].into();
            Ok(Planned::Key(KeyChange { attributes, ..KeyChange::default() }))
        });
        let changed = changed.await?;
        let memo = kept::memo(changed.record());
        Ok(visit.data(&Changed { key_tag: visit.tag(), memo }))
    })
}

/// What changes of a key's settings need, and are told as.
pub(super) const CHANGE: (Permission, &str) = (Permission::KeysUpdate, "key.update");
/// The statuses in which a key's settings can be changed.
pub(super) const UNTIL_REVOKED: [Status; 2] = [Status::Enabled, Status::Disabled];
