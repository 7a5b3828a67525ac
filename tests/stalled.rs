//! Players that ask for all of a recording and stop reading: they cost little, and nobody else waits for them.

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::support::{Reply, Server, System, media};

const RECORDINGS: usize = 3;
const LEN: usize = 16 << 20;
/// What a player reads before it stops.
const READ: usize = 64 << 10;
/// Resident memory of the server for each.
const MEMORY_MAX: u64 = 64 << 10;
/// What the server holds open beside connections and recordings: database, logs, its own wake-ups.
const OTHER_DESCRIPTORS: usize = 64;

fn players() -> usize {
    if env::var_os("SEALTAPE_TESTS_FULL").is_some() { 10_000 } else { 1_000 }
}

fn id(number: usize) -> String {
    format!("call-{}", number % RECORDINGS)
}

/// Of a recording: no two begin alike.
fn content(recording: usize) -> Vec<u8> {
    let mut media = media(LEN);
    media.rotate_left(recording * 1_000_000);
    media
}

/// A server that may hold no more open than a descriptor for each connection, one for each recording, and a few.
fn serve(system: &System) -> Server {
    let limit = players() + RECORDINGS + OTHER_DESCRIPTORS;
    let plain = system.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]);
    command.arg(plain.get_program()).args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // The stalled are to be looked at, not cut.
    command.env("SEALTAPE_SERVER__TIMEOUTS__WRITE", "30m");
    command.env("SEALTAPE_SERVER__MAX_CONNECTIONS", (players() + 10).to_string());
    Server::start(command)
}

/// A player that has read the first of its recording and reads no further.
fn stall(server: &Server, number: usize) -> Player {
    let address: SocketAddr = server.address.parse().expect("an address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // What lies unread with the players is no memory of the server's, and there is only so much for all sockets.
    socket.set_recv_buffer_size(16 << 10).expect("set");
    socket.connect(&address.into()).unwrap_or_else(|error| panic!("player {number}: {error}"));
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("set");
    let request = format!("GET /recordings/{}/media HTTP/1.1\r\nHost: localhost\r\n\r\n", id(number));
    stream.write_all(request.as_bytes()).expect("sent");
    let mut came = vec![0; READ];
    stream.read_exact(&mut came).unwrap_or_else(|error| panic!("player {number}: {error}"));
    assert!(came.starts_with(b"HTTP/1.1 200 OK\r\n"), "player {number}");
    let head = came.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    came.drain(..head);
    Player { stream, came }
}

struct Player {
    stream: TcpStream,
    /// What it has of the media.
    came: Vec<u8>,
}

impl Player {
    /// Reads on to the end of the media.
    fn resume(mut self) -> Vec<u8> {
        let had = self.came.len();
        self.came.resize(LEN, 0);
        self.stream.read_exact(&mut self.came[had..]).expect("the rest");
        self.came
    }
}

/// The server's memory once it stands still.
fn settled(server: &Server) -> u64 {
    let mut last = 0;
    for _ in 0..50 {
        let now = server.memory();
        if now == last {
            return now;
        }
        last = now;
        thread::sleep(Duration::from_millis(300));
    }
    last
}

#[test]
fn a_thousand_stalled_players_cost_little_and_hold_nobody_up() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("within its limit");
    let wanted = players() as u64 + 200;
    assert!(
        limit.maximum.is_none_or(|maximum| maximum > wanted),
        "{} players need open files: ulimit -Hn {wanted}",
        players()
    );
    let system = System::with_key();
    let contents: Vec<_> = (0..RECORDINGS).map(content).collect();
    for (number, content) in contents.iter().enumerate() {
        system.import(&id(number), content);
    }
    let server = serve(&system);
    let path = |number| format!("/recordings/{}/media", id(number));
    let play = |number: usize| {
        let reply: Reply = server.get(&path(number));
        assert!(reply.status == 200 && reply.body == contents[number % RECORDINGS], "{} bytes", reply.body.len());
    };
    // What is made once is made before it is looked at.
    thread::scope(|scope| {
        for number in 0..8 {
            scope.spawn(move || play(number));
        }
    });
    let before = settled(&server);
    let mut stalled: Vec<_> = (0..players()).map(|number| stall(&server, number)).collect();
    let while_stalled = settled(&server);

    // A new one plays all of it meanwhile.
    (0..RECORDINGS).for_each(play);
    // Some go on where they stopped, with every byte right.
    for number in [players() - 1, players() / 2, 1, 0] {
        assert!(stalled.swap_remove(number).resume() == contents[number % RECORDINGS], "player {number}");
    }
    drop(stalled);

    let each = while_stalled.saturating_sub(before) / players() as u64;
    println!("{} stalled players: {each} bytes of resident memory each", players());
    assert!(each <= MEMORY_MAX, "{} KiB a player: {} MiB, then {} MiB", each >> 10, before >> 20, while_stalled >> 20);
}
