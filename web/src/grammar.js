// The edit grammar of the command line: `1*=2`, `0+=3`, `5=0`, `c0+=2`, several joined by `;`.
const NUMBER = "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?";
const EDIT = new RegExp(`^\\s*([A-Za-z0-9_][\\w.-]*?)\\s*(\\*=|\\+=|-=|=)\\s*(${NUMBER})\\s*(s?)\\s*$`);

export function parseEdits(text) {
  const parts = text.split(";").filter((part) => part.trim());
  if (!parts.length) throw new Error("Write an edit such as 1*=2, 0+=3, 5=0 or 3+=2s.");
  return parts.map((part) => {
    const match = part.length <= 200 && EDIT.exec(part);
    if (!match) throw new Error(`Cannot read “${part.trim().slice(0, 60)}”: write 1*=2, 0+=3, 5=0 or 3+=2s.`);
    const [, target, operator, number, s] = match;
    const value = Number(number);
    if (!Number.isFinite(value) || Math.abs(value) > 3.4e38) throw new Error(`The number in “${part.trim()}” is too large.`);
    if (operator === "*=" && s) throw new Error(`“${part.trim()}” scales by standard deviations: use += or = with s.`);
    return { target: /^\d+$/.test(target) ? String(Number(target)) : target, operator, value, inSd: Boolean(s) };
  });
}

export function applyEdit({ operator, value, inSd }, before, mean, sd) {
  const amount = inSd ? value * sd : value;
  if (operator === "*=") return before * value;
  if (operator === "+=") return before + amount;
  if (operator === "-=") return before - amount;
  return inSd ? mean + amount : amount;
}
