//! soketto as its own Autobahn example has it: buffered reader and writer, each message into one `Vec`, then a flush.

use futures_util::io::{BufReader, BufWriter};
use soketto::handshake::server::{Response, Server};
use soketto::{BoxedError, Data, connection};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncReadCompatExt;

async fn echo(stream: TcpStream) -> Result<(), BoxedError> {
    let mut server = Server::new(BufReader::new(BufWriter::new(stream.compat())));
    let key = server.receive_request().await?.key();
    let accept = Response::Accept {
        key,
        protocol: None,
    };
    server.send_response(&accept).await?;
    let (mut sender, mut receiver) = server.into_builder().finish();
    let mut message = Vec::new();
    loop {
        message.clear();
        match receiver.receive_data(&mut message).await {
            Ok(Data::Binary(_)) => sender.send_binary_mut(&mut message).await?,
            Ok(Data::Text(_)) => sender.send_text(std::str::from_utf8(&message)?).await?,
            Err(connection::Error::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        sender.flush().await?;
    }
}

fn main() -> std::io::Result<()> {
    peers::serve_each(echo)
}
