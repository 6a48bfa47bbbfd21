//! Values of all sizes, at all alignments: what is written is read, and nothing beside it changes.
#![cfg(not(loom))]

use shared::HostMemory;

/// Writes and reads `N` bytes at every alignment.
fn goes_through<const N: usize>() {
    let host = HostMemory::new(4096);
    let memory = host.memory();
    for offset in 0..24 {
        memory.fill(0, 128, 0x5a);
        let value: [u8; N] = std::array::from_fn(|i| (i + offset) as u8);
        memory.write(16 + offset, &value);
        assert_eq!(memory.read::<[u8; N]>(16 + offset), value, "{N} bytes at {offset}");
        let mut all = [0; 128];
        memory.copy_from(0, &mut all);
        let (before, rest) = all.split_at(16 + offset);
        let (there, after) = rest.split_at(N);
        assert_eq!(there, value, "{N} bytes at {offset}");
        assert!(before.iter().chain(after).all(|byte| *byte == 0x5a), "{N} bytes at {offset}");
    }
}

#[test]
fn a_value_comes_back_and_touches_nothing_else() {
    goes_through::<1>();
    goes_through::<2>();
    goes_through::<3>();
    goes_through::<4>();
    goes_through::<8>();
    goes_through::<12>();
    goes_through::<16>();
    goes_through::<40>();
    goes_through::<64>();
    goes_through::<72>();
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "outside"))]
fn what_does_not_fit_reads_as_zeros_and_is_not_written() {
    let host = HostMemory::new(4096);
    let memory = host.memory();
    memory.write(4090, &[1_u64]);
    assert_eq!(memory.read::<u64>(4090), 0);
    assert_eq!(memory.read::<u32>(4090), 0);
}
