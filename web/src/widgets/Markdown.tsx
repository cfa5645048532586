/**
 * Renders Markdown as React elements. HTML is shown as text and pictures as links, so a workflow from elsewhere runs
 * nothing and requests nothing from other servers.
 */

import { marked, type Token, type Tokens } from "marked";
import { createElement, Fragment, type ReactNode, useMemo } from "react";

export default function Markdown({ text }: { text: string }) {
  return useMemo(() => <>{all(marked.lexer(text))}</>, [text]);
}

const all = (tokens: readonly Token[] | undefined): ReactNode =>
  tokens?.map((token, index) => <Fragment key={index}>{element(token as MarkdownToken)}</Fragment>);

type MarkdownToken =
  | Tokens.Heading
  | Tokens.Paragraph
  | Tokens.Strong
  | Tokens.Em
  | Tokens.Del
  | Tokens.Codespan
  | Tokens.Code
  | Tokens.Blockquote
  | Tokens.List
  | Tokens.Checkbox
  | Tokens.Table
  | Tokens.Hr
  | Tokens.Br
  | Tokens.Link
  | Tokens.Image
  | Tokens.Text
  | Tokens.Escape
  | Tokens.HTML;

function element(token: MarkdownToken): ReactNode {
  switch (token.type) {
    case "heading":
      return createElement(`h${Math.min(6, token.depth + 1)}`, null, all(token.tokens));
    case "paragraph":
      return <p>{all(token.tokens)}</p>;
    case "strong":
      return <strong>{all(token.tokens)}</strong>;
    case "em":
      return <em>{all(token.tokens)}</em>;
    case "del":
      return <del>{all(token.tokens)}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "code":
      return (
        <pre>
          <code>{token.text}</code>
        </pre>
      );
    case "blockquote":
      return <blockquote>{all(token.tokens)}</blockquote>;
    case "list": {
      const items = token.items.map((item: Tokens.ListItem, index: number) => (
        <li key={index} data-task={item.task || undefined}>
          {all(item.tokens)}
        </li>
      ));
      return token.ordered ? <ol start={Number(token.start) || 1}>{items}</ol> : <ul>{items}</ul>;
    }
    case "checkbox":
      return <input type="checkbox" checked={token.checked} readOnly disabled />;
    case "table":
      return <Table token={token} />;
    case "hr":
      return <hr />;
    case "br":
      return <br />;
    case "link":
      return <Link href={token.href}>{all(token.tokens)}</Link>;
    case "image":
      return <Link href={token.href}>{token.text || token.href}</Link>;
    case "text":
      return "tokens" in token && token.tokens ? all(token.tokens) : unescaped(token.text);
    case "escape":
      return unescaped(token.text);
    case "html":
      return token.text;
    default:
      return null; // blank lines and link definitions
  }
}

function Table({ token: { header, rows } }: { token: Tokens.Table }) {
  const cells = (row: Tokens.TableCell[], kind: "th" | "td") => (
    <tr>
      {row.map((cell, index) =>
        createElement(kind, { key: index, style: { textAlign: cell.align } }, all(cell.tokens)),
      )}
    </tr>
  );
  return (
    <table>
      <thead>{cells(header, "th")}</thead>
      <tbody>
        {rows.map((row, index) => (
          <Fragment key={index}>{cells(row, "td")}</Fragment>
        ))}
      </tbody>
    </table>
  );
}

const SAFE_LINK: ReadonlySet<string> = new Set(["http:", "https:", "mailto:"]);

/** A link to a web page or an email address; any other address is shown as plain text. */
function Link({ href, children }: { href: string; children: ReactNode }) {
  if (!URL.canParse(href) || !SAFE_LINK.has(new URL(href).protocol)) return children;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer" title={href}>
      {children}
    </a>
  );
}

/** Decodes the HTML entities of the characters that Markdown and HTML reserve. */
const unescaped = (text: string): string =>
  text.replace(
    /&(amp|lt|gt|quot|#39);/g,
    (_, name: string) => ({ amp: "&", lt: "<", gt: ">", quot: '"' })[name] ?? "'",
  );
