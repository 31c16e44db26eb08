//! Layouts of nodes and records: the published vectors, and every altered or moved byte.

use lethe_crypto::hash::sha256;
use lethe_types::{Secret, TreeId};

use super::support::{Constant, Rig, TREE, hex, secret};
use crate::tree::{
    InvalidNodeAddress, LEVELS_MAX, NodeAddress, NodeFault, NodeId, OpenError, RecordError,
    RecordHeader, StoredNodes, Tree, open_for_test, open_record, seal_for_test, seal_record,
};

fn address(level: u8, index: u64, epoch: u64) -> NodeAddress {
    NodeAddress { node: NodeId { level, index }, epoch }
}

#[test]
fn a_node_is_sealed_as_the_published_vector() {
    let keys = [1, 2, 3, 4].map(secret);
    let blob = seal_for_test(TREE, 2, address(1, 3, 5), &secret(0x11), &keys, &Constant(0x22));
    assert_eq!(blob.len(), 176);
    assert_eq!(hex(&blob[..20]), "0101020100000000000000030000000000000005");
    assert_eq!(hex(&blob[20..32]), "22".repeat(12));
    let expected = "30f92565af4ea77d583edb187ca709d0930022111854c58d33eb8e3e9c020e7a";
    assert_eq!(hex(&sha256(&[&blob])), expected);
    let opened = open_for_test(TREE, 2, address(1, 3, 5), &secret(0x11), &blob).unwrap();
    let opened: Vec<(u64, u8)> = opened.iter().map(|(i, key)| (*i, key.expose()[31])).collect();
    assert_eq!(opened, [(12, 1), (13, 2), (14, 3), (15, 4)]);
}

const HEADER: RecordHeader =
    RecordHeader { flags: 0, record_id: [0xaa; 16], leaf: 0x01_0203_0405, key_version: 1 };

fn record() -> Vec<u8> {
    seal_record(TREE, &secret(1), &HEADER, b"key material", &Constant(0x33)).unwrap()
}

#[test]
fn a_record_is_sealed_as_the_published_vector() {
    let expected = "01010000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa000000010203040500000001\
                    3333333333333333333333337f329a0818be9cc7ef17f268e77cebc071b7e9e63d2543\
                    204aed1b3c";
    assert_eq!(hex(&record()), expected);
    let opened = open_record(TREE, &secret(1), &HEADER, &record()).unwrap();
    assert_eq!(opened.expose(), b"key material");
    assert_eq!(RecordHeader::parse(&record()), Ok(HEADER));
}

#[test]
fn an_empty_record_opens() {
    let blob = seal_record(TREE, &secret(1), &HEADER, b"", &Constant(0x33)).unwrap();
    assert_eq!(blob.len(), crate::tree::RECORD_OVERHEAD_BYTES);
    assert!(open_record(TREE, &secret(1), &HEADER, &blob).unwrap().is_empty());
}

#[test]
fn a_record_with_any_byte_altered_or_missing_is_refused() {
    let blob = record();
    for at in 0..blob.len() {
        let mut altered = blob.clone();
        altered[at] ^= 1;
        let refusal = open_record(TREE, &secret(1), &HEADER, &altered).unwrap_err();
        let expected = match at {
            0 | 1 => RecordError::Malformed,
            2..32 => RecordError::OtherRecord,
            _ => RecordError::NotAuthentic,
        };
        assert_eq!(refusal, expected, "byte {at}");
        assert!(open_record(TREE, &secret(1), &HEADER, &blob[..at]).is_err(), "{at} bytes");
    }
}

#[test]
fn a_record_opens_only_under_its_own_key_tree_and_name() {
    #[track_caller]
    fn check(tree: TreeId, key: &Secret<32>, header: RecordHeader, expected: RecordError) {
        assert_eq!(open_record(tree, key, &header, &record()).unwrap_err(), expected);
    }
    check(TREE, &secret(2), HEADER, RecordError::NotAuthentic);
    check(TreeId([8; 16]), &secret(1), HEADER, RecordError::NotAuthentic);
    check(TREE, &secret(1), RecordHeader { flags: 1, ..HEADER }, RecordError::OtherRecord);
    check(TREE, &secret(1), RecordHeader { leaf: 5, ..HEADER }, RecordError::OtherRecord);
    check(TREE, &secret(1), RecordHeader { key_version: 2, ..HEADER }, RecordError::OtherRecord);
    let other = RecordHeader { record_id: [0xab; 16], ..HEADER };
    check(TREE, &secret(1), other, RecordError::OtherRecord);
}

#[test]
fn store_keys_of_nodes_round_trip_and_sort_as_their_addresses() {
    let addresses = [
        address(1, 0, 1),
        address(1, 0, 2),
        address(1, 1, 1),
        address(2, 0, u64::MAX),
        address(LEVELS_MAX, u64::MAX, 7),
    ];
    for pair in addresses.windows(2) {
        assert!(pair[0] < pair[1] && pair[0].to_bytes() < pair[1].to_bytes());
    }
    for address in addresses {
        assert_eq!(NodeAddress::parse(&address.to_bytes()), Ok(address));
    }
    assert_eq!(hex(&address(2, 3, 4).to_bytes()), "0200000000000000030000000000000004");
}

#[test]
fn malformed_store_keys_of_nodes_are_refused() {
    #[track_caller]
    fn check(bytes: &[u8]) {
        assert_eq!(NodeAddress::parse(bytes), Err(InvalidNodeAddress));
    }
    check(&[]);
    check(&[1; 16]);
    check(&[1; 18]);
    check(&address(0, 0, 1).to_bytes());
    check(&address(LEVELS_MAX + 1, 0, 1).to_bytes());
    check(&address(1, 0, 0).to_bytes());
}

/// A tree of three levels (arity 4, leaves up to 40) and its store.
fn grown() -> Rig {
    let mut rig = Rig::new(2, 1);
    rig.change(&[], &[0, 1, 5, 17, 40]);
    rig
}

fn open(rig: &Rig, nodes: &StoredNodes) -> Result<(), OpenError> {
    let current = &rig.image.current;
    Tree::open(TREE, current.epoch, &current.root, nodes).map(|_| ())
}

#[test]
fn every_altered_byte_of_every_node_is_noticed() {
    let rig = grown();
    assert_eq!(rig.tree.height(), 3);
    for (address, blob) in &rig.nodes.now {
        for at in 0..blob.len() {
            let mut altered = blob.to_vec();
            altered[at] ^= 0x80;
            let mut nodes = rig.nodes.clone();
            nodes.now.insert(*address, altered.into());
            let error = open(&rig, &nodes.stored()).unwrap_err();
            let fault = if at < 20 { NodeFault::Malformed } else { NodeFault::NotAuthentic };
            let expected = OpenError::Node { node: address.node, epoch: 1, fault };
            // The arity is read from the root itself.
            if address.node.level < 3 || at != 2 {
                assert_eq!(error, expected, "{address:?} byte {at}");
            }
        }
    }
}

#[test]
fn every_missing_node_is_noticed() {
    let rig = grown();
    for address in rig.nodes.now.keys() {
        let mut nodes = rig.nodes.clone();
        nodes.now.remove(address);
        let error = open(&rig, &nodes.stored()).unwrap_err();
        let expected = if address.node.level == 3 {
            // Without its top the next lower node is taken for the root, and is not.
            NodeId { level: 2, index: 0 }
        } else {
            address.node
        };
        let fault =
            if address.node.level == 3 { NodeFault::NotAuthentic } else { NodeFault::Missing };
        assert_eq!(error, OpenError::Node { node: expected, epoch: 1, fault });
    }
}

#[test]
fn a_node_moved_to_any_other_place_is_refused() {
    let rig = grown();
    let all: Vec<_> = rig.nodes.now.iter().collect();
    for (from, blob) in &all {
        for (to, _) in all.iter().filter(|(to, _)| to != from) {
            let mut nodes = rig.nodes.clone();
            nodes.now.insert(**to, (*blob).clone());
            assert!(open(&rig, &nodes.stored()).is_err(), "{from:?} moved to {to:?}");
        }
    }
}

#[test]
fn a_moved_node_with_a_corrected_header_is_refused() {
    let rig = grown();
    let (from, to) = (address(1, 0, 1), address(1, 1, 1));
    let mut blob = rig.nodes.now[&from].to_vec();
    blob[..20].copy_from_slice(&rig.nodes.now[&to][..20]);
    let mut nodes = rig.nodes.clone();
    nodes.now.insert(to, blob.into());
    let fault = NodeFault::NotAuthentic;
    let expected = OpenError::Node { node: to.node, epoch: 1, fault };
    assert_eq!(open(&rig, &nodes.stored()), Err(expected));
}

#[test]
fn the_nodes_of_another_tree_are_refused_under_the_same_keys() {
    let rig = grown();
    let current = &rig.image.current;
    let other = TreeId([8; 16]);
    let error = Tree::open(other, current.epoch, &current.root, &rig.nodes.stored()).unwrap_err();
    let fault = NodeFault::NotAuthentic;
    assert_eq!(error, OpenError::Node { node: NodeId { level: 3, index: 0 }, epoch: 1, fault });
}

#[test]
fn an_older_state_of_a_node_under_the_address_of_the_newer_is_refused() {
    let mut rig = grown();
    let before = rig.nodes.now[&address(1, 0, 1)].clone();
    rig.change(&[0], &[]);
    rig.nodes.now.insert(address(1, 0, 2), before);
    assert!(open(&rig, &rig.nodes.stored()).is_err());
}

#[test]
fn a_root_of_another_epoch_is_not_looked_at() {
    let rig = grown();
    let current = &rig.image.current;
    for epoch in [2, 3, u64::MAX] {
        let error = Tree::open(TREE, epoch, &current.root, &rig.nodes.stored()).unwrap_err();
        assert_eq!(error, OpenError::NoRoot { epoch });
    }
    let empty = StoredNodes::new();
    let error = Tree::open(TREE, 1, &current.root, &empty).unwrap_err();
    assert_eq!(error, OpenError::NoRoot { epoch: 1 });
}

#[test]
fn one_address_is_not_stored_twice() {
    let mut nodes = StoredNodes::new();
    nodes.insert(address(1, 0, 1), vec![1]).unwrap();
    assert_eq!(nodes.insert(address(1, 0, 1), vec![2]).unwrap_err().0, address(1, 0, 1));
    assert_eq!((nodes.len(), nodes.epoch_max()), (1, Some(1)));
}
