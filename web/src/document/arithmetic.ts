/** Calculates what is typed into number fields: `512*2`, `(3+4)/2`. Whole numbers stay exact at any size. */

type Value = number | bigint;

const TOKEN = /\s*(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|\*\*|[-+*/%^()×÷])/iy;
const LONGEST = 200;

/** The result as text that a number field reads; null: the text is not a calculation, or has no finite result. */
export function calculated(text: string): string | null {
  const tokens = tokensOf(text);
  if (!tokens) return null;
  const reader = new Reader(tokens);
  try {
    const value = reader.sum();
    if (!reader.atEnd || (typeof value === "number" && !Number.isFinite(value))) return null;
    return String(value);
  } catch (error) {
    if (error instanceof NotArithmetic) return null;
    throw error;
  }
}

class NotArithmetic extends Error {}

function tokensOf(text: string): string[] | null {
  const trimmed = text.trim();
  if (trimmed.length > LONGEST) return null;
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < trimmed.length) {
    const [, token] = TOKEN.exec(trimmed) ?? [];
    if (token === undefined) return null;
    tokens.push(token);
  }
  return tokens;
}

/** Reads tokens by precedence: sums of products of signed powers. */
class Reader {
  private at = 0;

  constructor(private readonly tokens: readonly string[]) {}

  get atEnd(): boolean {
    return this.at === this.tokens.length;
  }

  private take(...wanted: string[]): string | undefined {
    const token = this.tokens[this.at];
    if (token === undefined || !wanted.includes(token)) return undefined;
    this.at += 1;
    return token;
  }

  sum(): Value {
    let value = this.product();
    for (let sign = this.take("+", "-"); sign; sign = this.take("+", "-")) {
      const other = this.product();
      value =
        sign === "+"
          ? combined(
              value,
              other,
              (a, b) => a + b,
              (a, b) => a + b,
            )
          : combined(
              value,
              other,
              (a, b) => a - b,
              (a, b) => a - b,
            );
    }
    return value;
  }

  private product(): Value {
    let value = this.signed();
    for (let sign = this.take("*", "×", "/", "÷", "%"); sign; sign = this.take("*", "×", "/", "÷", "%")) {
      const other = this.signed();
      if (sign === "*" || sign === "×")
        value = combined(
          value,
          other,
          (a, b) => a * b,
          (a, b) => a * b,
        );
      else value = sign === "%" ? remainder(value, other) : quotient(value, other);
    }
    return value;
  }

  private signed(): Value {
    if (this.take("+")) return this.signed();
    if (!this.take("-")) return this.power();
    const value = this.signed();
    return -value;
  }

  private power(): Value {
    const base = this.atom();
    if (!this.take("^", "**")) return base;
    return Number(base) ** Number(this.signed());
  }

  private atom(): Value {
    if (this.take("(")) {
      const value = this.sum();
      if (!this.take(")")) throw new NotArithmetic();
      return value;
    }
    const token = this.tokens[this.at];
    if (token === undefined || !/^[\d.]/.test(token)) throw new NotArithmetic();
    this.at += 1;
    return /^\d+$/.test(token) ? BigInt(token) : Number(token);
  }
}

function combined(
  first: Value,
  second: Value,
  whole: (a: bigint, b: bigint) => bigint,
  real: (a: number, b: number) => number,
): Value {
  if (typeof first === "bigint" && typeof second === "bigint") return whole(first, second);
  return real(Number(first), Number(second));
}

function quotient(first: Value, second: Value): Value {
  if (typeof first === "bigint" && typeof second === "bigint" && second !== 0n && first % second === 0n)
    return first / second;
  return Number(first) / Number(second);
}

const remainder = (first: Value, second: Value): Value =>
  typeof first === "bigint" && typeof second === "bigint" && second !== 0n
    ? first % second
    : Number(first) % Number(second);
