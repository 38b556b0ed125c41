//! Node's IPC channel, seen from the parent: one JSON text per line.
//!
//! Bounded both ways: a line has a limit, the queue to an app has a limit, and an app that floods
//! its channel is held up by its own reader. The channel of a cluster worker is served by [`crate::cluster`].

mod lines;
mod message;
mod outbox;

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

pub(crate) use lines::Lines;
pub(crate) use message::{AppMessage, Line, parse};
pub(crate) use outbox::{ChannelSender, Outbox, outbox};

use crate::sys::send_with_descriptor;

/// Messages that may wait for the job's task.
pub(crate) const MAX_INCOMING: usize = 64;

/// Serves our end of a channel: returns the sender and the stream of messages, which ends when the
/// app closes its end.
///
/// # Errors
/// When the socket cannot be registered with the reactor.
pub(crate) fn open(
    socket: std::os::unix::net::UnixStream,
) -> io::Result<(ChannelSender, mpsc::Receiver<AppMessage>)> {
    let stream = Arc::new(UnixStream::from_std(socket)?);
    let (sender, outbox) = outbox(None);
    let (deliver, incoming) = mpsc::channel(MAX_INCOMING);
    tokio::spawn(write(stream.clone(), outbox));
    tokio::spawn(read(stream, deliver));
    Ok((sender, incoming))
}

async fn read(stream: Arc<UnixStream>, deliver: mpsc::Sender<AppMessage>) {
    let mut lines = Lines::default();
    let mut complete = Vec::new();
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        // The buffer lives on the stack and for no longer than this call, so that an idle channel
        // costs nothing.
        match read_chunk(&stream, &mut lines, &mut complete) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        }
        for line in complete.drain(..) {
            let messages = match parse(line) {
                Some(Line::Message(message)) => [Some(message), None],
                Some(Line::Handle(message)) => [Some(AppMessage::Handle), message],
                // Frames of the cluster module have no business here.
                _ => continue,
            };
            for message in messages.into_iter().flatten() {
                if deliver.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn read_chunk(stream: &UnixStream, lines: &mut Lines, complete: &mut Vec<Vec<u8>>) -> io::Result<usize> {
    let mut chunk = [0; 8192];
    let count = stream.try_read(&mut chunk)?;
    lines.feed(&chunk[..count], |line| complete.push(line));
    Ok(count)
}

async fn write(stream: Arc<UnixStream>, mut outbox: Outbox) {
    while let Some(line) = outbox.next().await {
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            if stream.writable().await.is_err() {
                return;
            }
            let sent =
                stream.try_io(Interest::WRITABLE, || send_with_descriptor(stream.as_raw_fd(), rest, None));
            match sent {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        outbox.sent(line.len());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use super::outbox::{MAX_OUTGOING, SendError};
    use super::*;
    use crate::sys::channel_pair;

    fn pair() -> (ChannelSender, mpsc::Receiver<AppMessage>, std::os::unix::net::UnixStream) {
        let (ours, theirs) = channel_pair().unwrap();
        let (sender, receiver) = open(ours).unwrap();
        (sender, receiver, theirs.into())
    }

    #[tokio::test]
    async fn lines_arrive_whole_whatever_the_chunks() {
        let (_sender, mut receiver, mut app) = pair();
        for chunk in ["\"re", "ady\"\n{\"a\":", "1}\n"] {
            app.write_all(chunk.as_bytes()).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(receiver.recv().await, Some(AppMessage::Ready));
        assert_eq!(receiver.recv().await, Some(AppMessage::Raw("{\"a\":1}".to_owned())));
        drop(app);
        assert_eq!(receiver.recv().await, None);
    }

    #[tokio::test]
    async fn an_app_that_does_not_read_gets_no_endless_queue() {
        let (sender, _receiver, app) = pair();
        let text = format!("\"{}\"", "x".repeat(4096));
        let mut result = Ok(());
        for _ in 0..=MAX_OUTGOING + 1 {
            result = sender.send(&text);
        }
        assert_eq!(result, Err(SendError::Full));
        drop(app);
    }

    #[tokio::test]
    async fn what_is_sent_is_one_line() {
        let (sender, _receiver, app) = pair();
        sender.send("{\"b\":2}").unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(app).read_line(&mut line).unwrap();
            line
        });
        assert_eq!(line.await.unwrap(), "{\"b\":2}\n");
    }

    #[tokio::test]
    async fn large_messages_to_an_app_that_does_not_read_are_refused() {
        let (sender, _receiver, app) = pair();
        let text = format!("\"{}\"", "x".repeat(10 * 1024 * 1024));
        assert_eq!(sender.send(&text), Ok(()));
        assert_eq!(sender.send(&text), Err(SendError::Full));
        drop(app);
    }
}
