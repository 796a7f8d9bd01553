//! Sessions in memory: random bytes in random records over a wire that cuts, loses and changes them, beside the plain bytes.

use super::*;
use crate::streams::buffer::Buffer;

/// Pseudo-random numbers (Marsaglia's xorshift), the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("64 bits") % below
    }

    fn bytes(&mut self, below: usize) -> Vec<u8> {
        let first = self.roll(251);
        let pattern = (first..).map(|i| u8::try_from(i % 251).expect("small"));
        pattern.take(self.roll(below)).collect()
    }
}

/// Both sides, and what they are made of.
struct Sides {
    client: TlsClient,
    server: TlsServer,
}

impl Sides {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let chain = params.self_signed(&key).expect("signed").pem();
        let client = TlsClient::trusting(&chain).expect("a certificate");
        Self {
            client: client.server_name("localhost"),
            server: TlsServer::new(chain, key.serialize_pem()).expect("a certificate and its key"),
        }
    }

    /// Two sessions that have shaken hands over a wire that cuts at random.
    fn shaken(&self, dice: &mut Dice) -> (Box<Session>, Box<Session>) {
        let (mut client, _) = self.client.session(None).expect("a session");
        let (mut server, _) = self.server.session("client".to_owned()).expect("a session");
        for turn in 0.. {
            assert!(turn < 20, "they do not come to an end");
            let (from, to) = match turn % 2 {
                0 => (&mut client, &mut server),
                _ => (&mut server, &mut client),
            };
            let records = sealed(from);
            let got = opened(to, &records, dice).expect("shaken");
            assert_eq!((got.0.len(), got.1), (0, false));
            let is_shaking = |session: &Session| session.connection().is_handshaking();
            if records.is_empty() && !is_shaking(&client) && !is_shaking(&server) {
                break;
            }
        }
        (client, server)
    }
}

fn sealed(session: &mut Session) -> Vec<u8> {
    let mut queue = Buffer::new();
    session.take_sealed(&mut queue);
    queue.take(queue.len())
}

/// Opens what comes over the wire: the plain bytes, and whether they have ended in good order; with the bytes, the error.
fn opened(
    session: &mut Session,
    wire: &[u8],
    dice: &mut Dice,
) -> Result<(Vec<u8>, bool), (Vec<u8>, std::io::Error)> {
    let most = [1, 2, 5, 100, 100_000][dice.roll(5)];
    let room_most = [1, 10, 5000, 100_000][dice.roll(4)];
    let (mut unread, mut plain) = (Buffer::new(), Buffer::new());
    let mut rest = wire;
    loop {
        let room = 1 + dice.roll(room_most);
        let before = plain.len();
        match session.open(&mut unread, &mut plain, room) {
            Ok(Opened { count, is_hungry }) => {
                assert_eq!(count, plain.len() - before);
                assert!(count <= room, "more than was asked for");
                if count == 0 && !is_hungry {
                    return Ok((plain.take(plain.len()), true));
                }
                if count > 0 {
                    continue;
                }
            }
            Err(error) => return Err((plain.take(plain.len()), error)),
        }
        assert!(unread.is_empty(), "hungry before everything is opened");
        if rest.is_empty() {
            return Ok((plain.take(plain.len()), false));
        }
        let (piece, after) = rest.split_at(rest.len().min(1 + dice.roll(most)));
        unread.extend(piece);
        rest = after;
    }
}

#[test]
fn random_bytes_come_out_as_they_went_in_or_not_at_all() {
    let sides = Sides::new();
    for seed in 1..=400 {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let (mut client, mut server) = sides.shaken(&mut dice);
        let (from, to) = match dice.roll(2) {
            0 => (&mut client, &mut server),
            _ => (&mut server, &mut client),
        };
        let below = [2, 20, 50_000][dice.roll(3)];
        let (mut all, mut wire) = (Vec::new(), Vec::new());
        for _ in 0..dice.roll(6) {
            let plain = dice.bytes(below);
            from.seal(&plain).expect("sealed");
            wire.extend(sealed(from));
            all.extend(plain);
        }
        let ends = dice.roll(3) > 0;
        if ends {
            assert!(from.say_end() && !from.say_end());
            wire.extend(sealed(from));
        }
        let fate = dice.roll(3);
        let at = dice.roll(wire.len().max(1));
        match (fate, wire.get_mut(at)) {
            (0, Some(_)) => wire.truncate(at),
            (1, Some(byte)) => *byte ^= 1 << dice.roll(8),
            _ => {
                let (got, is_ended) = opened(to, &wire, &mut dice).expect("good bytes");
                assert!(got == all && is_ended == ends, "seed {seed}");
                continue;
            }
        }
        // What came is a beginning of what was sent, and an end that was lost or changed is none.
        match opened(to, &wire, &mut dice) {
            Ok((got, is_ended)) => {
                assert!(all.starts_with(&got), "seed {seed}");
                assert!(!is_ended || got == all, "seed {seed}: an end too early");
            }
            Err((got, error)) => {
                assert!(fate == 1, "seed {seed}: {error}");
                assert!(all.starts_with(&got), "seed {seed}");
            }
        }
    }
}
