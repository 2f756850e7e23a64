/** Counts the primes from `from` to `to`, `to` excluded, the slow way: it computes and does nothing else. */
export function countPrimes({ from, to }: { from: number; to: number }): number {
  let count = 0;
  for (let n = Math.max(2, from); n < to; n++) if (isPrime(n)) count += 1;
  return count;
}

export function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false;
  return true;
}
