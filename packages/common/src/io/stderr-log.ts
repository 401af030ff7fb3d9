/** One line to stderr for each event: JSON, or text for people. Never anything secret. */
import type { LogConfig } from "../config/common-elements.js";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type Log = (level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>) => void;

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

const valueText = (value: unknown): string => (typeof value === "string" && !/[\s"=]/.test(value) ? value : JSON.stringify(value));

function textLine(time: string, level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${valueText(value)}`);
  return `${time} ${level} ${event}${pairs.join("")}`;
}

/** Writes events of at least the configured level. */
export function stderrLog({ level: least, format }: LogConfig): Log {
  return (level, event, fields) => {
    if (RANK[level] < RANK[least]) return;
    const time = new Date().toISOString();
    const line = format === "json" ? JSON.stringify({ time, level, event, ...fields }) : textLine(time, level, event, fields);
    process.stderr.write(`${line}\n`);
  };
}
