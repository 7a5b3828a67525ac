//! A way to a server over the loopback: it can be cut, be silent, lead elsewhere, and count.

use std::{
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

pub struct Way {
    port: u16,
    state: Arc<Mutex<State>>,
    tried: Arc<AtomicUsize>,
}

struct State {
    /// The port that it leads to; none while it is cut.
    to: Option<u16>,
    open: Vec<TcpStream>,
}

impl Way {
    /// To a port of this machine.
    pub fn to(port: u16) -> Self {
        Self::from("127.0.0.1:0", port)
    }

    /// The same, from an address of this machine.
    pub fn from(address: &str, to: u16) -> Self {
        let listener = TcpListener::bind(address).expect("binds");
        let port = listener.local_addr().expect("an address").port();
        let (state, tried) = (Arc::new(Mutex::new(State { to: Some(to), open: Vec::new() })), Arc::default());
        let (shared, counted) = (Arc::clone(&state), Arc::<AtomicUsize>::clone(&tried));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                let mut state = shared.lock().expect("not poisoned");
                let Some(server) = state.to.and_then(|to| TcpStream::connect(("127.0.0.1", to)).ok()) else { continue };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("set");
                    state.open.push(stream.try_clone().expect("cloned"));
                }
                join(&client, &server);
                join(&server, &client);
            }
        });
        Self { port, state, tried }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends what is under way; from now on it leads to a port, or nowhere.
    pub fn lead_to(&self, port: Option<u16>) {
        let mut state = self.state.lock().expect("not poisoned");
        state.to = port;
        for stream in state.open.drain(..) {
            let _may_be_over = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many connections were tried on it, whether it led anywhere or not.
    pub fn tried(&self) -> usize {
        self.tried.load(Ordering::Relaxed)
    }
}

/// Sends on what comes, until either end is gone.
fn join(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().expect("cloned"), to.try_clone().expect("cloned"));
    thread::spawn(move || {
        let _over = std::io::copy(&mut from, &mut to);
        let _may_be_over = to.shutdown(Shutdown::Both);
    });
}
