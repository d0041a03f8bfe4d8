//! What one client has to say, on its way to the network.

use crate::ws::{self, Opcode};
use bytes::{Bytes, BytesMut};
use driftless_proto::{lane::Lane, session::Delivery};

/// Messages on their way to one connection: as WebSocket frames, one after the other, or each with its lane.
#[derive(Debug)]
pub struct Frames {
    body: BytesMut,
    form: Form,
    messages: u64,
    bytes: u64,
}

#[derive(Debug)]
enum Form {
    Framed { wire: BytesMut, masks: fastrand::Rng },
    Lanes { delivery: Delivery, max_datagram: usize, messages: Vec<(Lane, Bytes)> },
}

impl Frames {
    /// For WebSockets.
    pub fn framed() -> Self {
        let wire = BytesMut::with_capacity(4096);
        Self::new(Form::Framed { wire, masks: fastrand::Rng::new() })
    }
    /// For transports that take messages.
    pub fn lanes() -> Self {
        Self::new(Form::Lanes { delivery: Delivery::Datagram, max_datagram: 0, messages: Vec::new() })
    }
    fn new(form: Form) -> Self {
        Self { body: BytesMut::with_capacity(4096), form, messages: 0, bytes: 0 }
    }
    /// The next messages are for a connection like this, whose longest datagram has so many bytes.
    pub fn turn_to(&mut self, to: Delivery, longest: usize) {
        if let Form::Lanes { delivery, max_datagram, .. } = &mut self.form {
            (*delivery, *max_datagram) = (to, longest);
        }
    }
    /// What the connection promises about messages.
    pub fn delivery(&self) -> Delivery {
        match self.form {
            Form::Framed { .. } => Delivery::Ordered,
            Form::Lanes { delivery, .. } => delivery,
        }
    }
    /// Adds a message.
    pub fn push(&mut self, message: &[u8]) {
        self.push_lane(Lane::Reliable, message);
    }
    /// Adds every message that `next` writes, which is told the length of the longest datagram, until it
    /// returns None.
    pub fn push_all(&mut self, mut next: impl FnMut(&mut BytesMut, usize) -> Option<Lane>) {
        let max_datagram = match self.form {
            Form::Framed { .. } => 0,
            Form::Lanes { max_datagram, .. } => max_datagram,
        };
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        while let Some(lane) = next(&mut body, max_datagram) {
            self.push_lane(lane, &body);
            body.clear();
        }
        self.body = body;
    }
    /// Adds a control frame of a WebSocket.
    pub fn push_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        if let Form::Framed { wire, masks } = &mut self.form {
            let before = wire.len();
            ws::write_client_frame(opcode, payload, masks.u32(..).to_ne_bytes(), wire);
            self.messages += 1;
            self.bytes += (wire.len() - before) as u64;
        }
    }
    /// The WebSocket frames that wait.
    pub fn wire(&self) -> &[u8] {
        match &self.form {
            Form::Framed { wire, .. } => wire,
            Form::Lanes { .. } => &[],
        }
    }
    /// The messages that wait, with their lanes.
    pub fn take(&mut self) -> impl Iterator<Item = (Lane, Bytes)> + '_ {
        match &mut self.form {
            Form::Framed { .. } => None,
            Form::Lanes { messages, .. } => Some(messages.drain(..)),
        }
        .into_iter()
        .flatten()
    }
    /// Forgets what waits.
    pub fn clear(&mut self) {
        match &mut self.form {
            Form::Framed { wire, .. } => wire.clear(),
            Form::Lanes { messages, .. } => messages.clear(),
        }
    }
    /// Messages so far, and their bytes with WebSocket frames (without, where they have lanes).
    pub fn sent(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }

    fn push_lane(&mut self, lane: Lane, message: &[u8]) {
        match &mut self.form {
            Form::Framed { .. } => self.push_frame(Opcode::Binary, message),
            Form::Lanes { messages, .. } => {
                messages.push((lane, Bytes::copy_from_slice(message)));
                self.messages += 1;
                self.bytes += message.len() as u64;
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    impl Frames {
        /// The frames that were pushed, unmasked.
        pub fn take_messages(&mut self) -> Vec<Vec<u8>> {
            let Form::Framed { wire, .. } = &mut self.form else { return Vec::new() };
            let mut messages = Vec::new();
            while let Some(header) = ws::Header::read(wire).unwrap() {
                let frame = wire.split_to(header.len + header.payload);
                let mask = header.mask.unwrap();
                let payload = frame[header.len..].iter().zip(mask.iter().cycle());
                messages.push(payload.map(|(byte, key)| byte ^ key).collect());
            }
            messages
        }
    }

    fn several(frames: &mut Frames) {
        let mut left = vec![vec![3; 300], vec![2], vec![]];
        frames.push(&[9]);
        frames.push_all(|body, _| {
            left.pop().map(|message| body.extend_from_slice(&message)).map(|()| Lane::Unreliable)
        });
    }

    #[test]
    fn several_messages_are_framed_one_after_the_other() {
        let mut frames = Frames::framed();
        several(&mut frames);
        assert_eq!(frames.take_messages(), [vec![9], vec![], vec![2], vec![3; 300]]);
        assert_eq!(frames.sent(), (4, 7 + 6 + 7 + 308));
    }

    #[test]
    fn messages_keep_their_lanes_and_are_taken_once() {
        let mut frames = Frames::lanes();
        several(&mut frames);
        let taken: Vec<_> = frames.take().map(|(lane, message)| (lane, message.len())).collect();
        use Lane::{Reliable, Unreliable};
        assert_eq!(taken, [(Reliable, 1), (Unreliable, 0), (Unreliable, 1), (Unreliable, 300)]);
        assert_eq!((frames.take().count(), frames.sent()), (0, (4, 302)));
    }
}
