# SPDX-License-Identifier: MIT
#
# Decodes a PNG and prints its width, height and number of distinct colours. Usage: png.py FILE
import struct
import sys
import zlib

data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG"
at, packed = 8, b""
while at < len(data):
    length, kind = struct.unpack(">I4s", data[at:at + 8])
    body = data[at + 8:at + 8 + length]
    if kind == b"IHDR":
        width, height, depth, colour = struct.unpack(">IIBB", body[:10])
    elif kind == b"IDAT":
        packed += body
    at += 12 + length
assert depth == 8 and colour in (2, 6), (depth, colour)
step = 3 if colour == 2 else 4
raw, line = zlib.decompress(packed), width * step
above, colours = bytearray(line), set()
for y in range(height):
    how, row = raw[y * (line + 1)], bytearray(raw[y * (line + 1) + 1:(y + 1) * (line + 1)])
    for x in range(line if how else 0):
        left = row[x - step] if x >= step else 0
        up, corner = above[x], above[x - step] if x >= step else 0
        if how == 4:
            near = left + up - corner
            guess = min((left, up, corner), key=lambda v: abs(near - v))
        else:
            guess = (0, left, up, (left + up) // 2)[how]
        row[x] = (row[x] + guess) & 255
    colours.update(bytes(row[i:i + 3]) for i in range(0, line, step))
    above = row
print(width, height, len(colours))
