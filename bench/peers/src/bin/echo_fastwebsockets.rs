//! fastwebsockets as its own echo example has it: hyper upgrade, fragments collected, task without a budget.

use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError};
use hyper::Request;
use hyper::body::Incoming;
use peers::Upgrade;

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut ws = FragmentCollector::new(upgraded.await?);
    loop {
        let frame = ws.read_frame().await?;
        match frame.opcode {
            OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
            OpCode::Close => return Ok(()),
            _ => {}
        }
    }
}

fn accept(
    request: &mut Request<Incoming>,
) -> Upgrade<impl Future<Output = Result<(), WebSocketError>> + use<>, WebSocketError> {
    let (response, upgraded) = upgrade(request)?;
    Ok((response, echo(upgraded)))
}

fn main() -> std::io::Result<()> {
    peers::serve_upgrades(accept)
}
