//! The choice of the entry that makes room when something is full.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

/// The payers of the address that holds most, the heaviest first; several entries of one payer add up.
///
/// Addresses are compared first, since device ids are free to make up. Ties go by address and id, so that the same
/// input always has the same result.
pub(super) fn heaviest<P: Copy + Ord + Hash>(
    held: impl IntoIterator<Item = (IpAddr, P, usize)>,
) -> Vec<(P, usize)> {
    let mut addresses = HashMap::<IpAddr, (usize, HashMap<P, usize>)>::new();
    for (address, payer, bytes) in held.into_iter().filter(|(_, _, bytes)| *bytes > 0) {
        let (total, payers) = addresses.entry(address).or_default();
        *total += bytes;
        *payers.entry(payer).or_default() += bytes;
    }
    let heaviest = addresses.into_iter().max_by_key(|(address, (total, _))| (*total, *address));
    let mut payers: Vec<_> = heaviest.into_iter().flat_map(|(_, (_, payers))| payers).collect();
    payers.sort_unstable_by_key(|&(payer, bytes)| (Reverse(bytes), payer));
    payers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_ids_of_one_address_weigh_together_and_the_heaviest_of_them_comes_first() {
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        let held = [(address(1), 1, 50), (address(2), 2, 20), (address(2), 3, 15), (address(2), 2, 20)];
        assert_eq!(heaviest(held), [(2, 40), (3, 15)]);
        assert_eq!(heaviest([(address(1), 1, 0)]), []);
        assert_eq!(heaviest::<u8>([]), []);
    }
}
