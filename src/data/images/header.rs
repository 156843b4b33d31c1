//! Headers of PNG and JPEG files, and whether a file has its end; nothing is decoded, and little of the file is read.

use super::super::FileProblem;
use super::super::error::io_problem;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// The last chunk of a PNG file: no bytes, its name, its checksum.
const PNG_END: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";
const JPEG: [u8; 2] = [0xff, 0xd8];
const JPEG_END: [u8; 2] = [0xff, 0xd9];
const IMAGE: &str = "a PNG or JPEG image";

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Of the whole file.
    pub bytes: u64,
}

/// Reads the header of an image, and checks that its end is there.
/// Errors: no PNG or JPEG file, or one that is cut short.
pub fn read(path: &Path) -> Result<Header, FileProblem> {
    let io = |e: io::Error| match e.kind() {
        io::ErrorKind::UnexpectedEof => cut_short(path),
        _other => io_problem(path, &e, IMAGE),
    };
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    let mut reader = BufReader::with_capacity(4096, file);
    let mut magic = Vec::new();
    reader.by_ref().take(PNG.len() as u64).read_to_end(&mut magic).map_err(io)?;
    if magic == PNG {
        let mut chunk = [0; 16];
        reader.read_exact(&mut chunk).map_err(io)?;
        if chunk[4..8] != *b"IHDR" {
            return Err(FileProblem::new(path, "a PNG file without a header").expected(IMAGE));
        }
        let number = |at: usize| u32::from_be_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]) as usize;
        ends_with(reader, bytes, 0, &PNG_END, path)?;
        Ok(Header { width: number(8), height: number(12), bytes })
    } else if magic.starts_with(&JPEG) {
        reader.seek(SeekFrom::Start(2)).map_err(io)?;
        let (width, height) = frame(&mut reader).map_err(io)?.ok_or_else(|| {
            FileProblem::new(path, "a JPEG file without a picture").expected(IMAGE).hint("take it out of the folder")
        })?;
        let start = reader.stream_position().map_err(io)?;
        ends_with(reader, bytes, start, &JPEG_END, path)?;
        Ok(Header { width, height, bytes })
    } else {
        let found = match magic.as_slice() {
            [] => "an empty file".to_string(),
            [b'G', b'I', b'F', ..] => "a GIF image".to_string(),
            [b'R', b'I', b'F', b'F', ..] => "a RIFF file, such as WebP".to_string(),
            [b'<', ..] => "text, such as a web page".to_string(),
            other => format!("bytes {}", other.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")),
        };
        Err(FileProblem::new(path, "not an image").expected(IMAGE).found(found).hint("take it out of the folder"))
    }
}

fn cut_short(path: &Path) -> FileProblem {
    FileProblem::new(path, "the image is cut short").expected(IMAGE).hint("take it out of the folder, or download it again")
}

/// Goes through the segments of a JPEG file to the start of its frame, which has its size; `None` where there is none.
fn frame(reader: &mut BufReader<File>) -> io::Result<Option<(usize, usize)>> {
    loop {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        if byte[0] != 0xff {
            return Ok(None);
        }
        // Any number of ff may stand before a marker.
        while byte[0] == 0xff {
            reader.read_exact(&mut byte)?;
        }
        match byte[0] {
            // Markers without a segment: restarts and TEM.
            0xd0..=0xd7 | 0x01 => {}
            // The picture's data or end before its size.
            0xd8..=0xda | 0x00 => return Ok(None),
            marker => {
                let mut length = [0; 2];
                reader.read_exact(&mut length)?;
                let Some(length) = u16::from_be_bytes(length).checked_sub(2) else { return Ok(None) };
                // Start of frame of any process; c4, c8 and cc are tables.
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    let mut f = [0; 5];
                    reader.read_exact(&mut f)?;
                    let number = |at: usize| usize::from(u16::from_be_bytes([f[at], f[at + 1]]));
                    return Ok(Some((number(3), number(1))));
                }
                reader.seek_relative(i64::from(length))?;
            }
        }
    }
}

/// Checks that `end` is the last of the file; where something else follows it (cameras add data of their own), that it is
/// somewhere behind `start`.
fn ends_with(reader: BufReader<File>, bytes: u64, start: u64, end: &[u8], path: &Path) -> Result<(), FileProblem> {
    let io = |e: io::Error| io_problem(path, &e, IMAGE);
    let mut file = reader.into_inner();
    let last = bytes.saturating_sub(end.len() as u64).max(start);
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(last)).map_err(io)?;
    file.by_ref().take(end.len() as u64).read_to_end(&mut tail).map_err(io)?;
    if tail == end {
        return Ok(());
    }
    if bytes > super::MOST_BYTES {
        // Too large to be used whatever it ends with; the caller says so.
        return Ok(());
    }
    let mut rest = Vec::new();
    file.seek(SeekFrom::Start(start)).map_err(io)?;
    file.take(super::MOST_BYTES).read_to_end(&mut rest).map_err(io)?;
    if rest.windows(end.len()).any(|w| w == end) { Ok(()) } else { Err(cut_short(path)) }
}
