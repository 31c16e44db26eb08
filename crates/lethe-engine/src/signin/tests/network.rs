use core::net::IpAddr;

use crate::signin::network::Network;

#[test]
fn blocks_contain_their_addresses_and_no_others() {
    let check = |network: &str, address: &str, expected: bool| {
        let (network, address) = (network.parse::<Network>().unwrap(), address.parse::<IpAddr>());
        assert_eq!(network.contains(address.unwrap()), expected, "{network}");
    };
    check("10.0.0.0/8", "10.255.255.255", true);
    check("10.0.0.0/8", "11.0.0.0", false);
    check("10.0.0.0/8", "::ffff:10.0.0.1", true);
    check("0.0.0.0/0", "255.255.255.255", true);
    check("0.0.0.0/0", "::1", false);
    check("127.0.0.1", "127.0.0.1", true);
    check("127.0.0.1", "127.0.0.2", false);
    check("127.0.0.1/32", "127.0.0.1", true);
    check("2001:db8::/32", "2001:db8:ffff::1", true);
    check("2001:db8::/32", "2001:db9::", false);
    check("::/0", "2001:db8::", true);
    check("::1/128", "::1", true);
    check("::1/128", "::2", false);
}

#[test]
fn what_is_no_block_is_refused() {
    let check = |text: &str| assert!(text.parse::<Network>().is_err(), "{text:?}");
    check("");
    check("/8");
    check("10.0.0.0/");
    check("10.0.0.0/33");
    check("10.0.0.0/08");
    check("10.0.0.0/+8");
    check("10.0.0.0/-1");
    check("10.0.0.1/8");
    check("10.0.0");
    check("010.0.0.0/8");
    check(" 10.0.0.0/8");
    check("10.0.0.0/8/8");
    check("::/129");
    check("::1/127");
    check("example.org");
    assert!(Network::list("10.0.0.0/8,").is_none());
    assert!(Network::list(&["10.0.0.1"; 65].join(",")).is_none());
    assert_eq!(Network::list("10.0.0.0/8,::1").unwrap().len(), 2);
}
