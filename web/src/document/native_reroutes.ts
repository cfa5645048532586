/**
 * Reroute points: the newer kind of reroute, a point on a link instead of a node.
 *
 * A link names the last point before its target (`parentId`), and each point names the one before it. Files of version
 * 0.4 store both in `extra`; files of version 1 and subgraphs store them in the level. Several links may share points.
 */

import { type Id, type Level, type LinkRecord, linksOf, type Pair, pair, type RawLink } from "./document";
import type { Point } from "./geometry";

export interface NativeReroute {
  id: Id;
  parentId?: Id;
  pos: Pair;
  linkIds?: Id[];
  /** Whether it is attached to a socket without a link. */
  floating?: unknown;
  [key: string]: unknown;
}

interface LinkExtension {
  id: Id;
  parentId?: Id;
  [key: string]: unknown;
}

const inExtra = (level: Level): boolean =>
  !Array.isArray(level.reroutes) && Number(level.version ?? 0.4) < 1 && level.inputNode === undefined;

const extraOf = (level: Level): Record<string, unknown> => (level.extra ?? {}) as Record<string, unknown>;

function listed(level: Level): NativeReroute[] {
  const found = inExtra(level) ? extraOf(level).reroutes : level.reroutes;
  return Array.isArray(found) && found.every((entry) => typeof entry === "object" && entry !== null)
    ? (found as NativeReroute[])
    : NONE;
}

const NONE: NativeReroute[] = [];

const extensionsOf = (level: Level): LinkExtension[] => {
  const found = extraOf(level).linkExtensions;
  return Array.isArray(found) ? (found as LinkExtension[]) : [];
};

const indexes = new WeakMap<NativeReroute[], Map<string, NativeReroute>>();

/** The points of a level by id. Malformed entries are left out. */
export function reroutesById(level: Level): Map<string, NativeReroute> {
  const list = listed(level);
  let index = indexes.get(list);
  if (index === undefined) {
    index = new Map(list.filter(isSound).map((reroute) => [String(reroute.id), reroute]));
    indexes.set(list, index);
  }
  return index;
}

const isSound = ({ pos }: NativeReroute): boolean =>
  typeof pos === "object" && pair(pos, [NaN, NaN]).every(Number.isFinite);

const linkIdsOf = ({ linkIds }: NativeReroute): Id[] => (Array.isArray(linkIds) ? linkIds : []);

export function pointOf(reroute: NativeReroute): Point {
  const [x, y] = pair(reroute.pos, [0, 0]);
  return { x, y };
}

const NO_LINKS: RawLink[] = [];
const parents = new WeakMap<RawLink[], { extra: unknown; of: Map<string, Id> }>();

/** The last point of each link that has one. */
function parentsOf(level: Level): Map<string, Id> {
  const links = level.links ?? NO_LINKS;
  const known = parents.get(links);
  if (known && known.extra === level.extra) return known.of;
  const own = links.flatMap((link) =>
    link !== null && !Array.isArray(link) ? [[String(link.id), link.parentId] as const] : [],
  );
  const beside = extensionsOf(level).map(({ id, parentId }) => [String(id), parentId] as const);
  const of = new Map(
    [...beside, ...own].filter((entry): entry is readonly [string, Id] => entry[1] !== undefined && entry[1] !== null),
  );
  parents.set(links, { extra: level.extra, of });
  return of;
}

/** The points of a link, from its origin to its target. */
export function reroutesOf(level: Level, link: Id): NativeReroute[] {
  const known = reroutesById(level);
  if (!known.size) return NONE;
  const chain: NativeReroute[] = [];
  for (let id = parentsOf(level).get(String(link)); id !== undefined && id !== null; ) {
    const reroute = known.get(String(id));
    if (!reroute || chain.includes(reroute)) break; // a damaged file may contain a circle
    chain.unshift(reroute);
    id = reroute.parentId as Id;
  }
  return chain;
}

/** The links that share a point. */
export const linksThrough = (level: Level, id: Id): LinkRecord[] =>
  linksOf(level).filter((link) => reroutesOf(level, link.id).some((reroute) => String(reroute.id) === String(id)));

function withListed(level: Level, reroutes: NativeReroute[]): Level {
  if (!inExtra(level)) return { ...level, reroutes };
  const { reroutes: _, ...extra } = extraOf(level);
  return { ...level, extra: reroutes.length ? { ...extraOf(level), reroutes } : extra };
}

function withParent(level: Level, link: Id, parentId: Id | undefined): Level {
  const id = String(link);
  if (level.links?.some((raw) => raw !== null && !Array.isArray(raw) && String(raw.id) === id)) {
    return {
      ...level,
      links: level.links.map((raw) =>
        raw !== null && !Array.isArray(raw) && String(raw.id) === id ? parented(raw, parentId) : raw,
      ),
    };
  }
  const entries = extensionsOf(level);
  const others = entries.filter((entry) => String(entry.id) !== id);
  if (parentId === undefined && others.length === entries.length) return level;
  const { linkExtensions: _, ...extra } = extraOf(level);
  const at = entries.findIndex((entry) => String(entry.id) === id);
  const linkExtensions =
    parentId === undefined
      ? others
      : at < 0
        ? [...entries, { id: link, parentId }]
        : entries.with(at, { ...(entries[at] as LinkExtension), parentId });
  return { ...level, extra: linkExtensions.length ? { ...extraOf(level), linkExtensions } : extra };
}

function parented<T extends { [key: string]: unknown }>(entry: T, parentId: Id | undefined): T {
  const { parentId: _, ...rest } = entry;
  return (parentId === undefined ? rest : { ...entry, parentId }) as T;
}

export function moveReroutes(level: Level, to: ReadonlyMap<string, readonly [number, number]>): Level {
  if (!to.size) return level;
  let changed = false;
  const moved = listed(level).map((reroute) => {
    const at = to.get(String(reroute.id));
    if (!at || (pointOf(reroute).x === at[0] && pointOf(reroute).y === at[1])) return reroute;
    changed = true;
    return { ...reroute, pos: [at[0], at[1]] as Pair };
  });
  return changed ? withListed(level, moved) : level;
}

/** The level without some points. The successors of a removed point are attached to its predecessor. */
export function deleteReroutes(level: Level, ids: ReadonlySet<string>): Level {
  const known = reroutesById(level);
  const gone = new Set([...ids].filter((id) => known.has(id)));
  if (!gone.size) return level;
  const next = (parentId: Id | undefined): Id | undefined => {
    const seen = new Set<string>();
    let at = parentId ?? undefined;
    while (at !== undefined && gone.has(String(at)) && !seen.has(String(at))) {
      seen.add(String(at));
      at = known.get(String(at))?.parentId ?? undefined;
    }
    return at !== undefined && gone.has(String(at)) ? undefined : at;
  };
  const kept = listed(level).filter((reroute) => !gone.has(String(reroute.id)));
  let after = withListed(
    level,
    kept.map((reroute) => (gone.has(String(reroute.parentId)) ? parented(reroute, next(reroute.parentId)) : reroute)),
  );
  for (const [link, parentId] of parentsOf(level))
    if (gone.has(String(parentId))) after = withParent(after, ownLinkId(level, link), next(parentId));
  return after;
}

const ownLinkId = (level: Level, id: string): Id => linksOf(level).find((link) => String(link.id) === id)?.id ?? id;

/** The level after links were removed: no point lists them, and points without other links are removed. */
export function withoutLinks(level: Level, before: Level, ids: ReadonlySet<string>): Level {
  let after = level;
  for (const id of ids) after = withParent(after, id, undefined);
  const led = new Set([...ids].flatMap((id) => reroutesOf(before, id).map((reroute) => String(reroute.id))));
  let changed = false;
  const less = listed(after).map((reroute) => {
    if (!linkIdsOf(reroute).some((id) => ids.has(String(id)))) return reroute;
    changed = true;
    return { ...reroute, linkIds: linkIdsOf(reroute).filter((id) => !ids.has(String(id))) };
  });
  if (changed) after = withListed(after, less);
  if (!led.size) return after;
  // The points' own lists are not reliable: some files leave links out of them.
  const still = new Set(
    linksOf(after).flatMap((link) => reroutesOf(after, link.id).map((reroute) => String(reroute.id))),
  );
  return deleteReroutes(
    after,
    new Set([...led].filter((id) => !still.has(id) && !reroutesById(after).get(id)?.floating)),
  );
}

/** Lead a link through another link's points. Points that were removed with that link are restored. */
export function throughPoints(level: Level, link: Id, chain: readonly NativeReroute[]): Level {
  const last = chain.at(-1);
  if (!last) return level;
  const ids = new Set(chain.map((reroute) => String(reroute.id)));
  const known = reroutesById(level);
  const joined = listed(level).map((reroute) =>
    ids.has(String(reroute.id)) ? { ...reroute, linkIds: [...linkIdsOf(reroute), link] } : reroute,
  );
  const again = chain
    .filter((reroute) => !known.has(String(reroute.id)))
    .map((reroute) => ({ ...reroute, linkIds: [link] }));
  return withParent(withListed(level, [...joined, ...again]), link, last.id);
}

/** Add a point to a link. `leg`: the section of the link, counted from its origin. Other sections stay shared. */
export function addNativeReroute(level: Level, link: Id, at: readonly [number, number], leg: number): Level {
  const chain = reroutesOf(level, link);
  const [before, after] = [chain[leg - 1], chain[leg]];
  const state = level.state as Record<string, number> | undefined;
  const id =
    Math.max(Number(state?.lastRerouteId ?? 0) || 0, ...listed(level).map((reroute) => Number(reroute.id) || 0)) + 1;
  const made: NativeReroute = {
    id,
    ...(before && { parentId: before.id }),
    pos: [at[0], at[1]],
    linkIds: after ? linkIdsOf(after) : [link],
  };
  const list = listed(level).map((reroute) => (reroute === after && after ? { ...after, parentId: id } : reroute));
  const counted = state ? { ...level, state: { ...state, lastRerouteId: id } } : level;
  const added = withListed(counted, [...list, made]);
  return after ? added : withParent(added, link, id);
}

/** The level with links bent at points, which are listed from each link's origin. */
export function withBends(level: Level, bends: ReadonlyMap<Id, readonly Point[]>): Level {
  let after = level;
  for (const [link, points] of bends)
    for (const [leg, { x, y }] of points.entries()) after = addNativeReroute(after, link, [x, y], leg);
  return after;
}
