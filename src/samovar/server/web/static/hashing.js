// SHA-256 of files of any size, and git's own id (SHA-1) of small ones, in a worker: the page stays awake, and no file is
// held in memory. Written by hand (FIPS 180-4): the browser's own digest takes whole files only, and only on https.
"use strict";

const PIECE = 2 ** 22;
const SHA256 = { blockwise: sha256, start: [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19] };
const SHA1 = { blockwise: sha1, start: [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0] };

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
const K = new Int32Array(64);
for (let found = 0, number = 2; found < 64; number++) {
  let prime = true;
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) { prime = false; break; }
  if (prime) { const root = Math.cbrt(number); K[found++] = (root - Math.floor(root)) * 2 ** 32; }
}
const W = new Int32Array(80);

// `| 0` behind every sum keeps the numbers in whole registers: a third faster.
function sha256(state, bytes, count) {
  const k = K, w = W;
  let A = state[0], B = state[1], C = state[2], D = state[3], E = state[4], F = state[5], G = state[6], H = state[7];
  for (let at = 0; at < count; at += 64) {
    for (let i = 0, p = at; i < 16; i++, p += 4) w[i] = (bytes[p] << 24) | (bytes[p + 1] << 16) | (bytes[p + 2] << 8) | bytes[p + 3];
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (((w[i - 16] + w[i - 7]) | 0) + ((s0 + s1) | 0)) | 0;
    }
    let a = A, b = B, c = C, d = D, e = E, f = F, g = G, h = H;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const one = (((((h + s1) | 0) + (g ^ (e & (f ^ g)))) | 0) + ((k[i] + w[i]) | 0)) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const two = (s0 + ((a & b) | (c & (a | b)))) | 0;
      h = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
    }
    A = (A + a) | 0; B = (B + b) | 0; C = (C + c) | 0; D = (D + d) | 0; E = (E + e) | 0; F = (F + f) | 0; G = (G + g) | 0; H = (H + h) | 0;
  }
  state[0] = A; state[1] = B; state[2] = C; state[3] = D; state[4] = E; state[5] = F; state[6] = G; state[7] = H;
}

function sha1(state, bytes, count) {
  for (let at = 0; at < count; at += 64) {
    for (let i = 0, p = at; i < 16; i++, p += 4) W[i] = (bytes[p] << 24) | (bytes[p + 1] << 16) | (bytes[p + 2] << 8) | bytes[p + 3];
    for (let i = 16; i < 80; i++) { const x = W[i - 3] ^ W[i - 8] ^ W[i - 14] ^ W[i - 16]; W[i] = (x << 1) | (x >>> 31); }
    let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (let i = 0; i < 80; i++) {
      const mixed = i < 20 ? ((b & c) | (~b & d)) + 0x5a827999 : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
        : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc : (b ^ c ^ d) + 0xca62c1d6;
      const next = (((a << 5) | (a >>> 27)) + mixed + e + W[i]) | 0;
      e = d; d = c; c = (b << 30) | (b >>> 2); b = a; a = next;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e;
  }
}

// A digest that takes its bytes in pieces.
class Digest {
  constructor({ blockwise, start }) {
    this.blockwise = blockwise;
    this.state = new Int32Array(start);
    this.rest = new Uint8Array(0);
    this.length = 0;
  }

  update(piece) {
    this.length += piece.length;
    let bytes = piece;
    if (this.rest.length) {
      bytes = new Uint8Array(this.rest.length + piece.length);
      bytes.set(this.rest);
      bytes.set(piece, this.rest.length);
    }
    const whole = bytes.length - (bytes.length % 64);
    this.blockwise(this.state, bytes, whole);
    this.rest = bytes.slice(whole);
  }

  finish() {
    const last = new Uint8Array(this.rest.length < 56 ? 64 : 128);
    last.set(this.rest);
    last[this.rest.length] = 0x80;
    const view = new DataView(last.buffer);
    view.setUint32(last.length - 8, Math.floor(this.length / 2 ** 29));
    view.setUint32(last.length - 4, (this.length * 8) >>> 0);
    this.blockwise(this.state, last, last.length);
    return Array.from(this.state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }
}

// {id, file, git} → {id, read: bytes} again and again, at last {id, hash} or {id, failed}. Another message ends it.
let wanted = 0;
self.onmessage = async ({ data: { id, file, git } }) => {
  wanted = id;
  if (!file) return;
  try {
    const digest = new Digest(git ? SHA1 : SHA256);
    if (git) digest.update(new TextEncoder().encode(`blob ${file.size}\0`));
    for (let at = 0; at < file.size; at += PIECE) {
      digest.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
      if (wanted !== id) throw new Error("Nobody waits for it.");
      self.postMessage({ id, read: Math.min(at + PIECE, file.size) });
    }
    self.postMessage({ id, hash: digest.finish() });
  } catch (error) {
    self.postMessage({ id, failed: String(error) });
  }
};
