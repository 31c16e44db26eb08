//! The operations of the dialect, and what each is in the engine's vocabulary. The table is that of
//! docs/permissions.md.

use std::collections::BTreeSet;

use lethe_types::Permission::{self, *};
use lethe_types::Permissions;

/// Names of operations.
pub(crate) type Operations = BTreeSet<&'static str>;

const NONE: &[Permission] = &[];
const MANAGE: &[Permission] = &[PrincipalsManage];
const SEE: &[Permission] = &[PrincipalsRead];
const DELEGATE: &[Permission] = &[PrincipalsDelegate];
const ADMIN: &[Permission] = &[VaultsAdmin];
const LOGS: &[Permission] = &[AuditRead];

/// What each operation that means something here is.
const MAPPED: &[(&str, &[Permission])] = &[
    ("Keys:Create", &[KeysCreate]),
    ("Keys:Read", &[KeysRead]),
    ("Keys:Signatures:Read", &[KeysRead]),
    ("KeyStores:Read", &[RealmRead]),
    ("Signers:ListSigners", &[RealmRead]),
    ("Keys:Update", &[KeysUpdate]),
    ("Keys:Delete", &[KeysDestroy]),
    ("Keys:Delegate", &[KeysDelegate]),
    ("Keys:Import", &[KeysCreate, KeysImport]),
    ("Keys:Export", &[KeysExport]),
    ("Keys:Derive", &[KeysUseDerive]),
    ("Keys:ChildKeys:Create", &[KeysCreate, KeysUseDerive]),
    ("Keys:Signatures:Create", &[KeysUseSign]),
    ("Auth:Logs:Read", LOGS),
    ("Events:Read", LOGS),
    ("Auth:Users:Read", SEE),
    ("Auth:ServiceAccounts:Read", SEE),
    ("Permissions:Read", SEE),
    ("Permissions:Assignments:Read", SEE),
    ("Auth:Users:Create", MANAGE),
    ("Auth:Users:Update", MANAGE),
    ("Auth:Users:Activate", MANAGE),
    ("Auth:Users:Deactivate", MANAGE),
    ("Auth:Users:Delete", MANAGE),
    ("Auth:ServiceAccounts:Create", MANAGE),
    ("Auth:ServiceAccounts:Update", MANAGE),
    ("Auth:ServiceAccounts:Activate", MANAGE),
    ("Auth:ServiceAccounts:Deactivate", MANAGE),
    ("Auth:ServiceAccounts:Delete", MANAGE),
    ("Auth:Pats:Create", &[ApikeysManage]),
    ("Auth:Register:Delegated", DELEGATE),
    ("Auth:Login:Delegated", DELEGATE),
    ("Auth:Recover:Delegated", DELEGATE),
    ("Permissions:Create", MANAGE),
    ("Permissions:Update", MANAGE),
    ("Permissions:Archive", MANAGE),
    ("Permissions:Assign", MANAGE),
    ("Permissions:Revoke", MANAGE),
    ("Policies:Read", &[VaultsRead]),
    ("Policies:Create", ADMIN),
    ("Policies:Update", ADMIN),
    ("Policies:Archive", ADMIN),
    ("Policies:Approvals:Read", &[KeysRead]),
    ("Policies:Approvals:Approve", &[KeysDestroyApprove]),
    ("Orgs:Read", &[RealmRead]),
    ("Orgs:Settings:Read", &[RealmRead]),
    ("Orgs:Update", &[RealmAdmin]),
    ("Orgs:Settings:Update", &[RealmAdmin]),
];

/// Operations that can be given and mean nothing here.
const UNMAPPED: &[&str] = &[
    "Agreements:Acceptance:Create",
    "Agreements:Acceptance:Read",
    "Alias:Create",
    "Alias:Delete",
    "Alias:Read",
    "Alias:Update",
    "Allocations:Create",
    "Allocations:Read",
    "Allocations:Update",
    "Analytics:Read",
    "Auth:Action:Sign",
    "Auth:Apps:Create",
    "Auth:Apps:Read",
    "Auth:Apps:Update",
    "Auth:Creds:Code:Create",
    "Auth:Creds:Create",
    "Auth:Creds:Read",
    "Auth:Creds:Update",
    "Auth:Types:Application",
    "Auth:Types:Employee",
    "Auth:Types:EndUser",
    "Auth:Types:Pat",
    "Auth:Types:ServiceAccount",
    "Auth:Users:Delegate",
    "Billing:Read",
    "Billing:Write",
    "Exchanges:Create",
    "Exchanges:Delete",
    "Exchanges:Deposits:Create",
    "Exchanges:Read",
    "Exchanges:Withdrawals:Create",
    "FeeSponsors:Create",
    "FeeSponsors:Delete",
    "FeeSponsors:Read",
    "FeeSponsors:Update",
    "FeeSponsors:Use",
    "Internal:Auth:Types:Staff",
    "KeyStores:Fleets:Clone",
    "KeyStores:Fleets:Create",
    "KeyStores:OnchainSignatures:Create",
    "KeyStores:ProofOfControl:Create",
    "Keys:Reuse",
    "Networks:CantonValidators:Create",
    "Networks:CantonValidators:Delete",
    "Networks:CantonValidators:Read",
    "Networks:CantonValidators:Update",
    "Payouts:Create",
    "Payouts:Read",
    "Payouts:Write",
    "PermissionAssignments:Create",
    "PermissionAssignments:Read",
    "PermissionAssignments:Revoke",
    "Registry:Addresses:Create",
    "Registry:Addresses:Delete",
    "Registry:Addresses:Read",
    "Registry:Addresses:Update",
    "Registry:ContractSchemas:Create",
    "Registry:ContractSchemas:Delete",
    "Registry:ContractSchemas:Read",
    "Stakes:Create",
    "Stakes:Read",
    "Stakes:Update",
    "Swaps:Create",
    "Swaps:Read",
    "Vaults:Create",
    "Vaults:Read",
    "Vaults:Tags:Add",
    "Vaults:Tags:Delete",
    "Vaults:Update",
    "Wallets:BroadcastTransaction",
    "Wallets:Create",
    "Wallets:GenerateSignature",
    "Wallets:Offers:Read",
    "Wallets:Offers:Settle",
    "Wallets:Read",
    "Wallets:Tags:Add",
    "Wallets:Tags:Delete",
    "Wallets:Transactions:Abort",
    "Wallets:Transactions:Create",
    "Wallets:Transactions:Read",
    "Wallets:Transfers:Abort",
    "Wallets:Transfers:Create",
    "Wallets:Transfers:Read",
    "Wallets:Update",
    "Webhooks:Create",
    "Webhooks:Delete",
    "Webhooks:Events:Read",
    "Webhooks:Ping",
    "Webhooks:Read",
    "Webhooks:Update",
];

/// What an end user has by default.
pub(crate) const OF_END_USERS: [&str; 4] =
    ["Keys:Read", "Keys:Signatures:Create", "Keys:Signatures:Read", "Keys:Derive"];

/// What no end user may do, whatever they were given.
pub(crate) const NOT_OF_END_USERS: [&str; 4] =
    ["Keys:Delete", "Keys:Delegate", "KeyStores:Read", "Auth:Logs:Read"];

/// The operation of that name, if there is one.
pub(crate) fn named(text: &str) -> Option<&'static str> {
    let mapped = MAPPED.iter().map(|(name, _)| *name);
    mapped.chain(UNMAPPED.iter().copied()).find(|name| *name == text)
}

/// Every operation that there is.
pub(crate) fn all() -> Operations {
    MAPPED.iter().map(|(name, _)| *name).chain(UNMAPPED.iter().copied()).collect()
}

/// What somebody with these operations may do, in the engine's vocabulary. All operations are every
/// permission, those that no operation speaks of included.
pub(crate) fn permissions_of(operations: &Operations) -> Permissions {
    if operations.len() == MAPPED.len() + UNMAPPED.len() {
        return Permissions::all();
    }
    let of = |name: &&'static str| {
        let found = MAPPED.iter().find(|(known, _)| known == name);
        found.map_or(NONE, |(_, permissions)| *permissions)
    };
    operations.iter().flat_map(of).copied().collect()
}
