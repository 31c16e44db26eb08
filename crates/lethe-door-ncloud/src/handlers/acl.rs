//! From which addresses tokens of a key may be used.

use std::net::Ipv4Addr;

use lethe_engine::KeyChange;
use lethe_http::{Reply, Request};
use serde::{Deserialize, Serialize};

use super::keys::{CHANGE, UNTIL_REVOKED};
use crate::body;
use crate::error::Refusal;
use crate::kept::{AddressList, Status};
use crate::route::Ask;
use crate::visit::{Planned, Visit, Who, visit};

/// Most addresses of one key.
const ADDRESSES_MAX: usize = 1_000;

/// Also while the key waits for its deletion.
const ALWAYS: [Status; 3] = [Status::Enabled, Status::Disabled, Status::Revoked];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    key_tag: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_acl_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_ip_list: Option<Vec<Ipv4Addr>>,
}

pub(crate) fn enable(ask: Ask) -> Result<Reply, Refusal> {
    switch(visit(ask, Who::Account)?, true)
}

pub(crate) fn disable(ask: Ask) -> Result<Reply, Refusal> {
    switch(visit(ask, Who::Account)?, false)
}

fn switch(visit: Visit, enabled: bool) -> Result<Reply, Refusal> {
    visit.pending(async move |visit| {
        body::nothing(&visit.request)?;
        let list = change(&visit, &UNTIL_REVOKED, |list| {
            list.enabled = enabled;
            Ok(())
        });
        let is_acl_enabled = Some(list.await?.enabled);
        Ok(visit.data(&Told { key_tag: visit.tag(), is_acl_enabled, allowed_ip_list: None }))
    })
}

pub(crate) fn list(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.ready(|visit| {
        let entry = visit.state.engine.read_key(&visit.caller, visit.key())?;
        let list = AddressList::of(entry.record());
        Ok(visit.data(&Told {
            key_tag: visit.tag(),
            is_acl_enabled: Some(list.enabled),
            allowed_ip_list: Some(list.addresses),
        }))
    })
}

pub(crate) fn add(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        let added = parse(&visit.request)?;
        let list = change(&visit, &UNTIL_REVOKED, |list| {
            for address in &added {
                if !list.addresses.contains(address) {
                    list.addresses.push(*address);
                }
            }
            let fits = list.addresses.len() <= ADDRESSES_MAX;
            if fits { Ok(()) } else { Err(Refusal::BadInput("too many addresses")) }
        });
        let allowed_ip_list = Some(list.await?.addresses);
        Ok(visit.data(&Told { key_tag: visit.tag(), is_acl_enabled: None, allowed_ip_list }))
    })
}

pub(crate) fn remove(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        let removed = parse(&visit.request)?;
        let list = change(&visit, &ALWAYS, |list| {
            list.addresses.retain(|address| !removed.contains(address));
            Ok(())
        });
        let allowed_ip_list = Some(list.await?.addresses);
        Ok(visit.data(&Told { key_tag: visit.tag(), is_acl_enabled: None, allowed_ip_list }))
    })
}

async fn change(
    visit: &Visit,
    allowed: &[Status],
    mut apply: impl FnMut(&mut AddressList) -> Result<(), Refusal>,
) -> Result<AddressList, Refusal> {
    let changed = visit.update(CHANGE, allowed, |entry| {
        let mut list = AddressList::of(entry.record());
        apply(&mut list)?;
        let attributes = list.to_attribute();
        Ok(Planned::Key(KeyChange { attributes, ..KeyChange::default() }))
    });
    Ok(AddressList::of(changed.await?.record()))
}

/// Dotted addresses of version 4; nothing else.
fn parse(request: &Request) -> Result<Vec<Ipv4Addr>, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Addresses<'a> {
        // An outdated page has the second spelling.
        #[serde(borrow, alias = "IpList")]
        ip_list: Vec<body::Text<'a>>,
    }
    let Addresses { ip_list } = body::object(request)?;
    if ip_list.len() > ADDRESSES_MAX {
        return Err(Refusal::BadInput("too many addresses"));
    }
    let address = |text: &body::Text<'_>| text.as_str().parse().ok();
    let addresses: Option<Vec<_>> = ip_list.iter().map(address).collect();
    addresses.ok_or(Refusal::BadInput("ipList has IPv4 addresses"))
}
