//! The header of a boot image, at every limit: what is just right is accepted, what is one beyond is refused and says why.

use abi::image::{Counts, HEADER, Header, ImageError, Segment, sha256};
use abi::kernel::control::Access;
use abi::layout::{IMAGE, IMAGE_END, PAGE, STACK_PAGES};

const COUNTS: Counts = Counts {
    slots: 2,
    servers: 2,
    regions: 8,
    handles: 16,
    ports: 1,
    windows: 1,
    grants: 1,
    tables: 32,
};
const CODE: Segment =
    Segment { access: Access::Execute, offset: PAGE, bytes: PAGE, address: IMAGE, pages: 1 };
const DATA: Segment =
    Segment { access: Access::Write, offset: 2 * PAGE, bytes: 5, address: IMAGE + PAGE, pages: 2 };

fn sound() -> Header {
    Header {
        image_bytes: 4 * PAGE,
        root_bytes: 2 * PAGE,
        table_bytes: 0,
        counts: COUNTS,
        entry: IMAGE,
        stack_pages: 2,
        heap_pages: 1,
        handles: 8,
        segments: [Some(CODE), Some(DATA), None, None],
    }
}

#[test]
fn segments_lie_within_the_image_and_the_room_for_images() {
    let held = 16 * PAGE;
    assert!(CODE.is_sound(held) && DATA.is_sound(held));
    assert!(CODE.is_sound(2 * PAGE), "it may end where the image does");
    let at = |address, pages| Segment { address, pages, ..DATA };
    assert!(at(IMAGE_END - PAGE, 1).is_sound(held));
    assert!(at(IMAGE, (IMAGE_END - IMAGE) / PAGE).is_sound(held));
    let bad = [
        at(IMAGE_END - PAGE, 2),
        at(IMAGE, (IMAGE_END - IMAGE) / PAGE + 1),
        at(IMAGE - PAGE, 1),
        at(IMAGE, 0),
        at(IMAGE + 1, 1),
        at(!(PAGE - 1), 1),
        Segment { offset: PAGE + 8, ..CODE },
        Segment { offset: held, ..CODE },
        Segment { offset: !(PAGE - 1), bytes: PAGE, ..CODE },
        Segment { bytes: 2 * PAGE + 1, ..DATA },
        Segment { pages: 2, ..CODE },
        Segment { bytes: PAGE + 1, ..CODE },
    ];
    for segment in bad {
        assert!(!segment.is_sound(held), "{segment:x?}");
    }
}

#[test]
fn a_digest_is_that_of_its_bytes() {
    let empty = sha256(b"");
    assert_eq!(empty[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    assert_eq!(sha256(b"abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
}

/// The bytes of an image with this header, its digest right, as long as it says or as given.
fn bytes(header: &Header, length: u64) -> Vec<u8> {
    let mut image = vec![0; length as usize];
    let root = header.root_bytes.min(length - PAGE) as usize;
    let head = header.encode(&image[HEADER..HEADER + root]);
    image[..HEADER].copy_from_slice(&head);
    image
}

fn decoded(header: &Header) -> Result<Header, ImageError> {
    Header::decode(&bytes(header, 4 * PAGE))
}

#[test]
fn what_encode_writes_decode_reads() {
    assert_eq!(Header::fields(&bytes(&sound(), 4 * PAGE)), Ok(sound()));
    assert_eq!(decoded(&sound()), Ok(sound()));
    assert_eq!(HEADER as u64, PAGE);
}

#[test]
fn sizes_are_held_to_the_page() {
    let size = |image_bytes, root_bytes, table_bytes| {
        decoded(&Header { image_bytes, root_bytes, table_bytes, ..sound() }).map(|_| ())
    };
    assert_eq!(size(4 * PAGE, 3 * PAGE, 0), Ok(()), "the root may fill the image");
    assert_eq!(size(4 * PAGE, 2 * PAGE, 2 * PAGE), Ok(()), "and the table the root");
    assert_eq!(size(4 * PAGE, 4 * PAGE, 0), Err(ImageError::Size));
    assert_eq!(size(4 * PAGE, 2 * PAGE, 2 * PAGE + 1), Err(ImageError::Size));
    assert_eq!(size(4 * PAGE - 1, 2 * PAGE, 0), Err(ImageError::Size));
    assert_eq!(size(4 * PAGE, 2 * PAGE - 1, 0), Err(ImageError::Size));
    assert_eq!(size(5 * PAGE, 2 * PAGE, 0), Err(ImageError::Truncated));
    assert_eq!(size(3 * PAGE, 2 * PAGE, 0), Err(ImageError::Oversized));
    let longer = bytes(&sound(), 5 * PAGE - 1);
    assert_eq!(Header::decode(&longer), Ok(sound()), "less than a page may follow");
}

#[test]
fn counts_and_the_root_are_held_to_their_limits() {
    let counts = |counts| decoded(&Header { counts, ..sound() }).map(|_| ());
    assert_eq!(counts(Counts::LIMITS), Ok(()));
    for over in [
        Counts { slots: 0, ..COUNTS },
        Counts { servers: 0, ..COUNTS },
        Counts { slots: Counts::LIMITS.slots + 1, ..COUNTS },
        Counts { tables: Counts::LIMITS.tables + 1, ..COUNTS },
    ] {
        assert_eq!(counts(over), Err(ImageError::Counts), "{over:?}");
    }
    let root = |change: fn(&mut Header)| {
        let mut header = sound();
        change(&mut header);
        decoded(&header).map(|_| ())
    };
    let good: [fn(&mut Header); 5] = [
        |header| header.entry = IMAGE + PAGE - 1,
        |header| header.stack_pages = STACK_PAGES as u32,
        |header| header.stack_pages = 1,
        |header| header.handles = 2,
        |header| header.handles = COUNTS.handles,
    ];
    for change in good {
        assert_eq!(root(change), Ok(()));
    }
    let bad: [fn(&mut Header); 10] = [
        |header| header.entry = IMAGE + PAGE,
        |header| header.entry = IMAGE - 1,
        |header| header.stack_pages = 0,
        |header| header.stack_pages = STACK_PAGES as u32 + 1,
        |header| header.heap_pages = 1 << 17,
        |header| header.handles = 1,
        |header| header.handles = COUNTS.handles + 1,
        |header| header.segments[2] = header.segments[1],
        |header| header.segments[1] = Some(Segment { address: IMAGE, ..DATA }),
        |header| header.segments[1] = Some(Segment { offset: 3 * PAGE, ..DATA }),
    ];
    for (at, change) in bad.into_iter().enumerate() {
        assert!(root(change).is_err(), "change {at}");
    }
}

#[test]
fn errors_have_texts_of_their_own() {
    let all = [ImageError::Abi, ImageError::Size, ImageError::Counts, ImageError::Segment];
    let texts: std::collections::BTreeSet<_> = all.iter().map(|error| error.text()).collect();
    assert_eq!(texts.len(), all.len());
    assert!(texts.iter().all(|text| text.len() > 8));
}
