//! Links the boot loader to where the board starts.

#[path = "../link.rs"]
mod link;

fn main() -> std::io::Result<()> {
    let board = link::board()?;
    link::link(&board.boot, &board.ram)
}
