#include "textflag.h"

// func skipPlain(text *byte, n int) int
//
// Blocks of 32 bytes are looked at with SSE2, which every amd64 has. With bit 1
// flipped, the quote follows the control characters, so one unsigned comparison
// finds both. Escapes of two bytes and characters of two bytes, which are most of
// what stands in a text beside ASCII, are stepped over here.
TEXT ·skipPlain(SB), NOSPLIT, $0-24
	MOVQ text+0(FP), SI
	MOVQ n+8(FP), CX
	SUBQ $32, CX             // where the last whole block begins
	XORQ AX, AX
	LEAQ ·short(SB), DI

	MOVQ       $0x0202020202020202, DX
	MOVQ       DX, X0
	PUNPCKLQDQ X0, X0
	MOVQ       $0x2020202020202020, DX
	MOVQ       DX, X1
	PUNPCKLQDQ X1, X1
	MOVQ       $0x5c5c5c5c5c5c5c5c, DX
	MOVQ       DX, X2
	PUNPCKLQDQ X2, X2

block:
	CMPQ AX, CX
	JGT  done

	MOVOU    (SI)(AX*1), X3
	MOVOU    16(SI)(AX*1), X4
	MOVO     X3, X5
	MOVO     X4, X6
	PXOR     X0, X5
	PXOR     X0, X6
	MOVO     X5, X7
	MOVO     X6, X8
	PMINUB   X1, X7
	PMINUB   X1, X8
	PCMPEQB  X5, X7          // quote or control character
	PCMPEQB  X6, X8
	MOVO     X3, X9
	MOVO     X4, X10
	PCMPEQB  X2, X9          // backslash
	PCMPEQB  X2, X10
	POR      X9, X7
	POR      X10, X8
	POR      X3, X7          // no ASCII: the high bit itself
	POR      X4, X8
	PMOVMSKB X7, DX
	PMOVMSKB X8, BX
	SHLL     $16, BX
	ORL      BX, DX
	JNE      found
	ADDQ     $32, AX
	JMP      block

found:
	BSFL    DX, DX
	ADDQ    DX, AX
	MOVBLZX (SI)(AX*1), BX
	CMPL    BX, $0x22
	JEQ     done
	CMPQ    AX, CX           // so that the next byte is there
	JGT     done
	MOVBLZX 1(SI)(AX*1), DX
	CMPL    BX, $0x5c
	JNE     wide
	CMPB    (DI)(DX*1), $0
	JEQ     done
	ADDQ    $2, AX
	JMP     block

wide:
	CMPL BX, $0xc2
	JLT  done
	CMPL BX, $0xe0
	JGE  done
	ANDL $0xc0, DX
	CMPL DX, $0x80
	JNE  done
	ADDQ $2, AX
	JMP  block

done:
	MOVQ AX, ret+16(FP)
	RET
