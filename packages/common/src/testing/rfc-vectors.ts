/** What RFCs print and several packages hold their ciphers against; keys, IVs and ciphertexts in hexadecimal. */

/** `first`, `first` + 1, … */
export const counting = (length: number, first: number): Uint8Array => Uint8Array.from({ length }, (_, n) => first + n);
export const ascii = (value: string): Uint8Array => new TextEncoder().encode(value);

/** RFC 3602 §4, cases 1 to 4: key, IV, plaintext, ciphertext. */
export const AES_128_CBC_ROWS = [
  ["case 1", "06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41", ascii("Single block msg"), "e353779c1079aeb82708942dbe77181a"],
  ["case 2", "c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58", counting(32, 0), "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"],
  ["case 3", "6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81", ascii("This is a 48-byte message (exactly 3 AES blocks)"),
    "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684"],
  ["case 4", "56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9", counting(64, 0xa0),
    "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55"],
] as const;
