//! Removes from a text what names a person, a device or a place.
//!
//! Statements of our own crates name devices by their ids; names and addresses come with the words of other libraries, inside
//! errors. So every text is searched, and a word that only looks private is replaced as well.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Characters of a device's, a user's or a group's id: 20 bytes in base32.
const ID: usize = 32;
/// Bytes of the longest address with its zone.
const ADDRESS: usize = 80;
/// Bytes of the longest scheme that is looked for, and of the longest host.
const SCHEME: usize = 16;
const HOST: usize = 253;
/// Schemes of URLs without slashes.
const OPAQUE: [&str; 4] = ["stun", "stuns", "turn", "turns"];

/// Each kind has numbers of its own.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Address,
    Host,
    Id,
    Name,
}

/// The numbers of the replacements: the same private word has the same number in all texts.
#[derive(Debug, Default)]
pub(super) struct Redaction([HashMap<String, usize>; 4]);

/// Something private at the beginning of a text.
struct Found {
    kind: Kind,
    /// Equal for two spellings of one thing.
    key: String,
    /// Bytes before it that stay.
    stays: usize,
    /// Bytes that end with it.
    length: usize,
}

impl Redaction {
    /// The text with addresses and their ports, hosts, ids and names replaced.
    pub(super) fn redact(&mut self, text: &str) -> String {
        let mut safe = String::with_capacity(text.len());
        // The two characters before the rest.
        let (mut before, mut rest) = ([' '; 2], text);
        while let Some(first) = rest.chars().next() {
            let mut length = first.len_utf8();
            match if is_word(before[1]) { None } else { find(before, rest) } {
                Some(found) => {
                    length = found.length;
                    safe.push_str(&rest[..found.stays]);
                    self.replace(found, &mut safe);
                }
                None => safe.push(first),
            }
            let mut passed = rest[..length].chars().rev();
            let last = passed.next().unwrap_or(first);
            before = [passed.next().unwrap_or(before[1]), last];
            rest = &rest[length..];
        }
        safe
    }

    fn replace(&mut self, found: Found, safe: &mut String) {
        let numbers = &mut self.0[found.kind as usize];
        let next = numbers.len() + 1;
        let number = *numbers.entry(found.key).or_insert(next);
        let word = match found.kind {
            Kind::Address => "address",
            Kind::Host => "host",
            Kind::Id => "id",
            Kind::Name => "name",
        };
        safe.push_str(&format!("<{word}-{number}>"));
    }
}

/// `before` are the characters before `rest`; the last is none of a word.
fn find(before: [char; 2], rest: &str) -> Option<Found> {
    // Of a file or of a module.
    let in_path = matches!(before, [_, '.' | '\\'] | [':', ':']) || before[1] == '/' && before[0] != '/';
    url(rest)
        .or_else(|| name(rest))
        .or_else(|| id(rest))
        .or_else(
            || if before[1] == '.' { None } else { bracketed(rest).or_else(|| address(before[1], rest)) },
        )
        .or_else(|| if in_path { None } else { host(rest) })
}

/// `wss://user@host:port/path?query`, `turn:host:port`: all but the scheme is one host.
fn url(rest: &str) -> Option<Found> {
    let start = &rest[..rest.floor_char_boundary(SCHEME + 1)];
    let (scheme, after) =
        rest.split_at(start.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))?);
    let stays = match after.strip_prefix(':')?.starts_with("//") {
        true if !scheme.is_empty() => scheme.len() + 3,
        false if OPAQUE.iter().any(|known| scheme.eq_ignore_ascii_case(known)) => scheme.len() + 1,
        _ => return None,
    };
    let body = run(&rest[stays..], |c| !c.is_whitespace() && !"\"'`<>".contains(c));
    let body = body.trim_end_matches([',', ';', ':', '.', '!', '?', ')', '}']);
    // The last bracket of a list is none of an address.
    let body = if body.contains('[') { body } else { body.trim_end_matches(']') };
    let authority =
        body.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty()).unwrap_or(body);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.split([']', '%']).next().unwrap_or(inner),
        None => host.split(':').next().unwrap_or(host),
    };
    let (kind, key) = match host.parse::<IpAddr>() {
        Ok(address) => (Kind::Address, address.to_canonical().to_string()),
        Err(_) => (Kind::Host, host.to_lowercase()),
    };
    (!body.is_empty()).then(|| Found { kind, key, stays, length: stays + body.len() })
}

/// `name=Anna`, `device_name="Anna's phone"`, `for name "relay"`, `DnsName("relay")`: the value.
fn name(rest: &str) -> Option<Found> {
    let word = run(rest, is_word);
    if !word.to_ascii_lowercase().ends_with("name") {
        return None;
    }
    let after = &rest[word.len()..];
    let value = after.strip_prefix(['=', ' ', '('])?;
    let bare = run(value, |c| !c.is_whitespace());
    // Spaces in quotes belong to it.
    let length = match bare.find('"') {
        Some(0) => 1 + quoted(&value[1..]),
        Some(quote) if after.starts_with('=') => quote + 1 + quoted(&value[quote + 1..]),
        None if after.starts_with('=') => bare.len(),
        _ => 0,
    };
    let (stays, key) = (word.len() + 1, value[..length].trim_matches('"').to_owned());
    (length > 0).then(|| Found { kind: Kind::Name, key, stays, length: stays + length })
}

/// Bytes up to the quote that ends what `inside` begins with, and with it.
fn quoted(inside: &str) -> usize {
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(inside.len(), |end| end + 1)
}

fn id(rest: &str) -> Option<Found> {
    let word = run(rest, is_word);
    let is_id = word.len() == ID && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    is_id.then(|| Found { kind: Kind::Id, key: word.to_owned(), stays: 0, length: ID })
}

/// `[2001:db8::7]:443`
fn bracketed(rest: &str) -> Option<Found> {
    let inner = run(rest.strip_prefix('[')?, |c| c != ']');
    let mut found = address(' ', inner).filter(|found| found.length == inner.len() && inner.contains(':'))?;
    let port = port(rest[1 + inner.len()..].strip_prefix(']')?);
    // Without a port they may be those of a list.
    (port > 0).then(|| {
        found.length += 2 + port;
        found
    })
}

fn address(before: char, rest: &str) -> Option<Found> {
    with_colons(before, rest).or_else(|| ipv4(rest))
}

fn found(key: String, length: usize) -> Option<Found> {
    Some(Found { kind: Kind::Address, key, stays: 0, length })
}

/// An IPv6 address with or without a zone, or a hardware address.
fn with_colons(before: char, rest: &str) -> Option<Found> {
    let mut shape = run(&rest[..rest.floor_char_boundary(ADDRESS + 1)], |c| {
        c.is_ascii_hexdigit() || c == ':' || c == '.'
    });
    if is_word(rest[shape.len()..].chars().next().unwrap_or(' ')) {
        // A word follows, whose first letters may be digits of a number.
        shape = shape.rsplit_once(':')?.0;
    }
    let text = shape.trim_end_matches('.');
    // A colon may follow.
    for text in [text, text.strip_suffix(':').unwrap_or(text)] {
        if let Ok(address) = text.parse::<Ipv6Addr>()
            && before != ':'
            && is_given_out(address, text)
        {
            let zone = rest[text.len()..].strip_prefix('%').map_or(0, |zone| {
                1 + run(zone, |c| is_word(c) || c == '-' || c == '.').trim_end_matches('.').len()
            });
            return found(address.to_canonical().to_string(), text.len() + zone);
        }
        let is_byte = |group: &str| group.len() == 2 && !group.contains('.');
        if text.split(':').count() == 6 && text.split(':').all(is_byte) {
            return found(text.to_ascii_lowercase(), text.len());
        }
    }
    None
}

/// An IPv4 address with or without a port.
fn ipv4(rest: &str) -> Option<Found> {
    let shape = run(rest, |c| c.is_ascii_digit() || c == '.');
    if is_word(rest[shape.len()..].chars().next().unwrap_or(' ')) {
        return None;
    }
    let text = shape.trim_end_matches('.');
    let is_group = |group: &str| (1..=3).contains(&group.len());
    if text.split('.').count() != 4 || !text.split('.').all(is_group) {
        return None;
    }
    let key = text.parse::<Ipv4Addr>().map_or_else(|_| text.to_owned(), |address| address.to_string());
    found(key, text.len() + port(&rest[text.len()..]))
}

/// Paths of Rust such as `f64::add` look like addresses of ranges that are not given out.
fn is_given_out(address: Ipv6Addr, text: &str) -> bool {
    match address.segments()[0] {
        0 => address.to_ipv4_mapped().is_some() || text.contains(|c: char| c.is_ascii_digit()),
        0x64 | 0x100 | 0x2000..=0x3fff | 0xfc00.. => true,
        _ => false,
    }
}

/// `relay.example.com:443`, `anna@example.com`, `phone.local`.
fn host(rest: &str) -> Option<Found> {
    let start = &rest[..rest.floor_char_boundary(HOST + 1)];
    let text = run(start, |c| is_word(c) || "-.@".contains(c));
    if text.len() > HOST {
        return None;
    }
    let text = text.trim_end_matches(['.', '-', '@']);
    let (labels, last) = text.rsplit_once('.')?;
    let is_top =
        last.starts_with("xn--") || (last.chars().count() > 1 && last.chars().all(char::is_alphabetic));
    let is_host = is_top && labels.split('.').all(|label| !label.is_empty());
    let key = || text.to_lowercase();
    let length = || text.len() + port(&rest[text.len()..]);
    is_host.then(|| Found { kind: Kind::Host, key: key(), stays: 0, length: length() })
}

/// Bytes of a port and the colon before it.
fn port(rest: &str) -> usize {
    match rest.strip_prefix(':').map(|rest| run(rest, |c| c.is_ascii_digit()).len()) {
        Some(digits @ 1..) => 1 + digits,
        _ => 0,
    }
}

/// The longest beginning of `rest` of such characters.
fn run(rest: &str, belongs: impl Fn(char) -> bool) -> &str {
    &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEVICE: &str = "abcdefghijklmnopqrstuvwxyz234567";
    const OTHER: &str = "bbcdefghijklmnopqrstuvwxyz234567";

    fn redacted(text: &str) -> String {
        Redaction::default().redact(text)
    }

    #[test]
    fn addresses_and_their_ports_are_replaced() {
        let cases = [
            ("from 192.0.2.1:4711 to 192.0.2.9, 192.0.2.1.", "from <address-1> to <address-2>, <address-1>."),
            ("at [2001:db8::7]:443 and 2001:DB8::7: refused", "at <address-1> and <address-1>: refused"),
            ("[192.0.2.7, 2001:db8::7]", "[<address-1>, <address-2>]"),
            ("[fe80::1] ::1 (::) fe80::", "[<address-1>] <address-2> (::) <address-3>"),
            ("V6([fe80::1%wlan0]:443) fe80::1%en-0.", "V6(<address-1>) <address-1>."),
            ("::ffff:192.0.2.1 is 192.0.2.1 is ::ffff:c000:201", "<address-1> is <address-1> is <address-1>"),
            ("::ffff:192.0.2.1:4711", "::ffff:<address-1>"),
            (
                "addr=192.0.2.1/24 1 udp 7 192.0.2.2 9 typ host",
                "addr=<address-1>/24 1 udp 7 <address-2> 9 typ host",
            ),
            ("fdaa::beef,64:ff9b::c000:201", "<address-1>,<address-2>"),
            ("999.0.2.1 010.0.0.1", "<address-1> <address-2>"),
            ("de:ad:be:ef:00:01", "<address-1>"),
            (
                "192.0.2.1:connection refused, 192.0.2.1:dns",
                "<address-1>:connection refused, <address-1>:dns",
            ),
            (
                "2001:db8::7:connection refused, 2001:db8::7:dns",
                "<address-1>:connection refused, <address-1>:dns",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn hosts_are_replaced_within_urls_and_outside() {
        let cases = [
            (r#"relay="wss://relay.example.com:8443/path?key=1""#, r#"relay="wss://<host-1>""#),
            ("wss://anna:secret@Relay.example.com/a, relay.example.com:443", "wss://<host-1>, <host-1>"),
            ("turn:turn.example.com:3478?transport=udp.", "turn:<host-1>."),
            ("STUN:[2001:db8::7]:3478 is 2001:db8::7", "STUN:<address-1> is <address-1>"),
            ("[ws://192.0.2.1:80/a, ws://localhost]", "[ws://<address-1>, ws://<host-1>]"),
            ("file:///home/anna/keys", "file://<host-1>"),
            ("Host:relay.example.com //relay.example.com/a", "Host:<host-1> //<host-1>/a"),
            ("not valid for relay.example.com; anna@example.com", "not valid for <host-1>; <host-2>"),
            ("1.2.0.192.in-addr.arpa müller.example phone.local.", "<host-1> <host-2> <host-3>."),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn ids_and_names_are_replaced() {
        let cases = [
            (format!("device={DEVICE} way={OTHER} to {DEVICE}."), "device=<id-1> way=<id-2> to <id-1>."),
            (
                r#"device_name="Anna's \"big\" phone" name=Anna kind=relay"#.into(),
                "device_name=<name-1> name=<name-2> kind=relay",
            ),
            (
                r#"name=Some("Anna B") at DnsName("relay"), valid for name "relay""#.into(),
                "name=<name-1>) at DnsName(<name-2>), valid for name <name-2>",
            ),
            (r#"name="never ends"#.into(), "name=<name-1>"),
        ];
        for (text, expected) in cases {
            assert_eq!(redacted(&text), expected);
        }
    }

    #[test]
    fn the_same_has_the_same_number_in_all_texts() {
        let mut redaction = Redaction::default();
        assert_eq!(redaction.redact("192.0.2.1"), "<address-1>");
        assert_eq!(redaction.redact("192.0.2.2 192.0.2.1"), "<address-2> <address-1>");
    }

    #[test]
    fn all_else_stays() {
        let texts = [
            "at 12:30:45.678 rtt=1.5ms attempt=2 took 12.34µs",
            "version 1.2.3 of 0.1.0-beta1, v1.2.3.4, 1.2.3.4.5",
            "peers_proto::path::score f64::add a::b <T as Trait>::add face::gate",
            "location=core/peers/src/engine.rs:128:7 /rust/library/core/src/lib.rs",
            "not a ws:// or wss:// URL with a host; turn: refused, TURN: refused, error 403",
            "e.g. this, i.e. that, etc. 0..16 … code=0x1f Some(Ok(())) {} [] \"\" name= rename",
            "its key is sha256/AbCdEfGh+/= 0123456789abcdef abcdefghijklmnopqrstuvwxyz2345678",
            "",
        ];
        for text in texts {
            assert_eq!(redacted(text), text);
        }
    }

    proptest! {
        #[test]
        fn addresses_do_not_come_through(
            v4: Ipv4Addr,
            v6: Ipv6Addr,
            port: u16,
            around in "[ =\"(,;{]",
            after in "( failed|:failed|:dns|, again)",
        ) {
            let mut global = v6.segments();
            global[0] = 0x2000 | global[0] >> 3;
            let v6 = Ipv6Addr::from(global);
            let texts = [format!("{v4}"), format!("{v4}:{port}"), format!("{v6}"), format!("[{v6}]:{port}")];
            for text in texts {
                prop_assert_eq!(redacted(&format!("dial{around}{text}{after}")), format!("dial{around}<address-1>{after}"));
            }
        }

        #[test]
        fn no_text_is_too_strange(text: String, parts in "[a-z0-9:.%\\[\\]@/=\" é]{0,60}") {
            redacted(&text);
            redacted(&parts);
        }
    }
}
