#include "textflag.h"

// Which characters make an escape of two (RFC 8259 §7), by the low and the high half
// of a byte: those with a bit in common. The highest bit marks control characters.
DATA lows<>+0(SB)/8, $0x00040008000d0000
DATA lows<>+8(SB)/8, $0x0104000200000000
GLOBL lows<>(SB), RODATA|NOPTR, $16
DATA highs<>+0(SB)/8, $0x0804020000018080
DATA highs<>+8(SB)/8, $0x0000000000000000
GLOBL highs<>(SB), RODATA|NOPTR, $16

// Bytes that stand alone: a quote, a backslash, the mask of a half, the first lead of
// a character of two bytes, how many leads follow it, and the first lead of all.
DATA bytes<>+0(SB)/8, $0x0000c01dc20f5c22
GLOBL bytes<>(SB), RODATA|NOPTR, $8

// MASK gathers the highest bits of 64 bytes.
#define MASK(first, second, scratch, mask) \
	VPMOVMSKB first, mask; \
	VPMOVMSKB second, scratch; \
	SHLQ      $32, scratch; \
	ORQ       scratch, mask

// func skipText(text *byte, n int) int
//
// Blocks of 64 bytes are looked at with AVX2 and without a branch that depends on what
// a text says, since those are guessed wrong: a text has a quote or a line end every
// few dozen bytes. R8 and R9 carry into the next block that it begins in the middle of
// an escape, or of a character of two bytes.
TEXT ·skipText(SB), NOSPLIT, $0-24
	MOVQ text+0(FP), SI
	MOVQ n+8(FP), CX
	SUBQ $64, CX             // where the last whole block begins
	XORL AX, AX
	XORL R8, R8
	XORL R9, R9

	MOVQ $0x5555555555555555, DI
	VPBROADCASTB bytes<>+0(SB), Y0
	VPBROADCASTB bytes<>+1(SB), Y1
	VPBROADCASTB bytes<>+2(SB), Y2
	VBROADCASTI128 highs<>(SB), Y3
	VBROADCASTI128 lows<>(SB), Y4
	VPXOR Y5, Y5, Y5

block:
	CMPQ AX, CX
	JGT  done
	VMOVDQU (SI)(AX*1), Y6
	VMOVDQU 32(SI)(AX*1), Y7

	VPSRLW   $4, Y6, Y8
	VPSRLW   $4, Y7, Y9
	VPAND    Y2, Y8, Y8
	VPAND    Y2, Y9, Y9
	VPSHUFB  Y8, Y3, Y8
	VPSHUFB  Y9, Y3, Y9
	MASK(Y8, Y9, DX, BX)     // control characters
	VPSHUFB  Y6, Y4, Y10
	VPSHUFB  Y7, Y4, Y11
	VPAND    Y8, Y10, Y10
	VPAND    Y9, Y11, Y11
	VPCMPEQB Y5, Y10, Y10
	VPCMPEQB Y5, Y11, Y11
	MASK(Y10, Y11, DX, R10)  // what makes no short escape
	VPCMPEQB Y0, Y6, Y10
	VPCMPEQB Y0, Y7, Y11
	MASK(Y10, Y11, DX, R11)  // quotes
	VPCMPEQB Y1, Y6, Y10
	VPCMPEQB Y1, Y7, Y11
	MASK(Y10, Y11, DX, R12)  // backslashes

	// Of a run of backslashes every second one is escaped, and so is what follows a run
	// of odd length. Adding a bit where a run begins at an odd place carries to its end.
	MOVQ R8, DX
	NOTQ DX
	ANDQ DX, R12
	LEAQ (R8)(R12*2), R13    // what follows a backslash
	MOVQ DI, DX
	ORQ  R13, DX
	NOTQ DX
	ANDQ R12, DX             // where runs begin at odd places
	XORL R8, R8
	ADDQ R12, DX
	ADCQ $0, R8
	SHLQ $1, DX
	XORQ DI, DX
	ANDQ DX, R13             // what is escaped

	ANDQ R13, R10            // wrong or long escapes
	MOVQ R13, DX
	NOTQ DX
	ANDQ DX, R11             // the quote that ends the string
	ORQ  R10, BX
	ORQ  R11, BX

	VPOR      Y6, Y7, Y8
	VPMOVMSKB Y8, DX
	ORQ       R9, DX
	JNE       letters

verdict:
	TESTQ BX, BX
	JNE   found
	ADDQ  $64, AX
	JMP   block

letters:
	// Characters of two bytes are a lead of c2 to df and a byte of 80 to bf (RFC 3629).
	MASK(Y6, Y7, DX, R10)    // all beyond ASCII
	VPBROADCASTB bytes<>+3(SB), Y8
	VPSUBB Y8, Y6, Y9
	VPSUBB Y8, Y7, Y10
	VPBROADCASTB bytes<>+4(SB), Y8
	VPMINUB Y8, Y9, Y11
	VPMINUB Y8, Y10, Y12
	VPCMPEQB Y9, Y11, Y9
	VPCMPEQB Y10, Y12, Y10
	MASK(Y9, Y10, DX, R11)   // leads
	VPBROADCASTB bytes<>+5(SB), Y8
	VPCMPGTB Y6, Y8, Y9
	VPCMPGTB Y7, Y8, Y10
	MASK(Y9, Y10, DX, R12)   // bytes that follow
	XORQ R11, R10
	XORQ R12, R10
	ORQ  R10, BX             // neither of both
	LEAQ (R9)(R11*2), DX     // where one must follow
	ORQ  DX, R13
	XORQ DX, R12
	ORQ  R12, BX
	SHRQ $63, R11
	MOVQ R11, R9
	JMP  verdict

found:
	// The first byte of a pair is where to look on.
	BSFQ BX, BX
	ADDQ BX, AX
	BTQ  BX, R13
	SBBQ $0, AX
	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET

done:
	SUBQ R8, AX
	SUBQ R9, AX
	VZEROUPPER
	MOVQ AX, ret+16(FP)
	RET

// func hasAVX2() bool
//
// The processor must have it and the system must keep its registers.
TEXT ·hasAVX2(SB), NOSPLIT, $0-1
	MOVB   $0, ret+0(FP)
	MOVL   $1, AX
	XORL   CX, CX
	CPUID
	ANDL   $0x18000000, CX   // OSXSAVE, AVX
	CMPL   CX, $0x18000000
	JNE    no
	XORL   CX, CX
	XGETBV
	ANDL   $6, AX            // SSE and AVX state
	CMPL   AX, $6
	JNE    no
	MOVL   $7, AX
	XORL   CX, CX
	CPUID
	BTL    $5, BX
	SETCS  ret+0(FP)
no:
	RET
